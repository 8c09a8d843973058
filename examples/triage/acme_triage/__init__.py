"""Sorts support tickets of Acme's customers."""
