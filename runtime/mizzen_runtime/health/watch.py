"""Looks at the signals once a second, whether or not anybody asks: so asking more often changes nothing."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mizzen_api.health import HealthReason, HealthState, RuntimeHealth
from mizzen_runtime.health.policy import BreakerSignal, HealthPolicy, HealthSignals, not_ready, state_of
from mizzen_runtime.health.tally import RequestTally, Window

LOOK_SECONDS = 1.0
"""From one look to the next."""

log = logging.getLogger("mizzen.health")


@dataclass(frozen=True)
class HealthSources:
    """Where the signals come from."""

    requests: RequestTally
    unready: Callable[[], str]
    """Gives why the pod is to get no requests; empty if it is to."""
    unhealthy_services: Callable[[], Mapping[str, str]]
    """Gives why each service is not healthy that is known not to be, by name."""
    breakers: Callable[[], Mapping[str, BreakerSignal]]
    """Gives the circuit breakers that are not closed, by name."""


class HealthWatch:
    """How the pod is."""

    def __init__(
        self, settings: RuntimeHealth, sources: HealthSources, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Find everything well until the first look.

        Args:
            settings: What `spec.health` says.
            sources: Where the signals come from.
            clock: Gives the time in seconds, which never goes back.
        """
        self._sources = sources
        self._clock = clock
        self._window = Window(sources.requests, settings.window_seconds, now=clock())
        self._policy = HealthPolicy(settings)
        self._reasons: tuple[HealthReason, ...] = ()

    async def run(self) -> None:
        """Look for as long as the process lives."""
        while True:
            try:
                self.look()
            except Exception:  # who no longer looks would tell for ever what was so before
                log.exception("health could not be judged")
            await asyncio.sleep(LOOK_SECONDS)

    def look(self) -> None:
        """Judge the signals as they are now."""
        now, before = self._clock(), self._reasons
        signals = HealthSignals(
            figures=self._window.figures(now),
            unhealthy_services=self._sources.unhealthy_services(),
            breakers=self._sources.breakers(),
        )
        self._reasons = self._policy.judge(signals, now)
        if _codes(before) != _codes(self._reasons):
            _log_change(state_of(self._reasons))

    def state(self) -> HealthState:
        """Give how the pod is by the last look, and at this moment whether it is to get requests.

        The latter is not held back: it must not differ from what `/readyz` says.
        """
        detail = self._sources.unready()
        return state_of((not_ready(detail), *self._reasons) if detail else self._reasons)


def _codes(reasons: tuple[HealthReason, ...]) -> set[tuple[str, str, str]]:
    return {(reason.code, reason.subject, reason.status) for reason in reasons}


def _log_change(state: HealthState) -> None:
    told = [f"{each.title}: {each.detail}. {each.figures}".rstrip() for each in state.reasons]
    level = logging.INFO if state.status == "healthy" else logging.WARNING
    log.log(level, "health has changed", extra={"status": state.status, "reasons": told})
