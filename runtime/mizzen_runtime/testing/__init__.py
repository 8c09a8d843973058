"""Doubles of services, and the contracts that they and the real ones keep, for tests of agents and of own services."""
