"""All breakers of the process, by name."""

import logging
import time
from collections.abc import Iterator, Mapping

from mizzen_api.breakers import RuntimeBreaker
from mizzen_runtime.breakers.breaker import BreakerState, CircuitBreaker, Clock, State

log = logging.getLogger("mizzen.breakers")


class Breakers:
    """Makes breakers, and tells how they are."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        """Begin without any.

        Args:
            clock: What the time is, for all of them.
        """
        self._clock = clock
        self._breakers: dict[str, CircuitBreaker] = {}

    def add(self, name: str, settings: RuntimeBreaker) -> CircuitBreaker:
        """Make a breaker.

        Args:
            name: What it is called, such as `service:crm`; a chain may hold one model twice, with addresses of their
                own: the second one's breaker is `model:vllm:qwen3-32b#2`.
            settings: When it opens, and for how long.
        """
        count, unique = 1, name
        while unique in self._breakers:
            count += 1
            unique = f"{name}#{count}"
        breaker = CircuitBreaker(unique, settings, clock=self._clock, on_change=_log_change)
        self._breakers[unique] = breaker
        return breaker

    def states(self) -> Mapping[str, BreakerState]:
        """Tell how each is now, by name, in the order of the resource."""
        return {breaker.name: breaker.state_now() for breaker in self}

    def __iter__(self) -> Iterator[CircuitBreaker]:
        return iter(self._breakers.values())


def _log_change(breaker: CircuitBreaker, before: State) -> None:
    """Write one line for a change, not one for each call that does not pass."""
    state = breaker.state_now()
    fields = {"breaker": breaker.name, "before": before}
    if state.state is State.OPEN:
        rates = {"failure_rate": state.failure_rate, "slow_call_rate": state.slow_call_rate}
        log.warning("a breaker opened", extra={**fields, **rates, "seconds": state.retry_after})
    else:
        message = "a breaker closed" if state.state is State.CLOSED else "a breaker lets a few calls pass"
        log.info(message, extra=fields)
