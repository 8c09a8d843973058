"""What operator, runtime and command line agree on: the resource, the rendered configuration and the reports.

Imports pydantic only, so that each of them can read it.
"""
