"""The transport: everything that knows HTTP, and nothing that knows agents.

`server` and `management` are imported in the first milliseconds of the process and import nothing heavy; `traffic`
comes with the data plane.
"""
