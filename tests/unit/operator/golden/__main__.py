"""Writes the golden files anew."""

from tests.unit.operator.golden import write

write()
