"""Tells what changes in a running agent: the health of its services, and changes that it does not take up."""

from collections.abc import Iterator

from mizzen_api.contract import RuntimeConfig, StateReport
from mizzen_api.problems import Problem


class StateWatch:
    """Remembers what was told."""

    def __init__(self, config: RuntimeConfig) -> None:
        """Know nothing yet."""
        services = config.services or ()
        self._described = {each.name: f"{each.interface} by {each.implementation}" for each in services}
        self._told: dict[str, str] = {}
        self._failures: frozenset[Problem] = frozenset()

    def news(self, state: StateReport) -> Iterator[str]:
        """Give a line for each service that is not as it was told last."""
        for service in state.services:
            if service.healthy is None:
                continue
            health = "healthy" if service.healthy else f"not healthy: {service.reason}"
            if self._told.get(service.name) != health:
                self._told[service.name] = health
                yield f"service {service.name} ({self._described.get(service.name, 'unknown')}) is {health}"

    def new_failures(self, state: StateReport) -> list[Problem]:
        """Give why changes are not in force, what was told already apart."""
        found = frozenset(state.reload_failures)
        fresh = [problem for problem in state.reload_failures if problem not in self._failures]
        self._failures = found
        return fresh
