"""The operator's process against a real API server."""
