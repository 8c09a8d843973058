"""Builds the pydantic-ai agent from its configuration and tells what its failures mean. Knows no HTTP."""
