"""Knows how the services are: pings them in the background, so that whoever asks is answered at once."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from mizzen_api.services import Required
from mizzen_runtime.container import ContainerClosedError, ServiceStartError
from mizzen_runtime.metrics import ServiceMetrics

PING_SECONDS = 10.0
"""From one ping to the next of a service that is healthy; up to a fifth more or less: pods are not to ping in step."""
PING_AGAIN_SECONDS = 1.0
"""From one ping to the next of one that is not: it is to be used again soon after it has come back."""
PING_LIMIT_SECONDS = 3.0
"""What a service has for its answer to a ping."""
FAILURES = 2
"""Pings that fail in a row until a healthy service counts as unhealthy: one answer may get lost."""
_JITTER = 0.2

log = logging.getLogger("mizzen.services")


@dataclass
class ServiceState:
    """How one service is."""

    name: str
    required: Required
    healthy: bool | None = None
    """None until the first ping is over."""
    was_healthy: bool = False
    """Whether it has been healthy since the start."""
    reason: str = ""
    """Why it is not healthy."""
    failures: int = 0
    """Pings that failed in a row."""

    @property
    def lets_requests_come(self) -> bool:
        """Whether the pod may be ready as far as this service goes."""
        if self.required == "Never":
            return True
        return self.was_healthy if self.required == "AtStart" else self.healthy is True

    @property
    def lets_requests_be_answered(self) -> bool:
        """Whether it is worth running the agent: what it needs is not known to be away."""
        return self.required == "Never" or self.healthy is True


Provide = Callable[[], Awaitable[Any]]
"""Gives a service that is in force now, made ready if it is not; raises `ServiceStartError` if that fails."""


class ServiceHealth:
    """The states of all services that live as long as the process."""

    def __init__(self, required: Iterable[tuple[str, Required]], metrics: ServiceMetrics) -> None:
        """Know nothing yet.

        Args:
            required: The services by name, and when each must be healthy.
            metrics: Where pings are counted.
        """
        self.states = {name: ServiceState(name, when) for name, when in required}
        self._metrics = metrics
        self._late: dict[str, tuple[Any, asyncio.Future[str | None]]] = {}
        """Services that were asked and have not answered in time, with the answer that is still to come."""
        for name in self.states:
            metrics.set_up(name, up=False)

    @property
    def ready(self) -> bool:
        """Whether requests may come."""
        return all(state.lets_requests_come for state in self.states.values())

    @property
    def missing(self) -> str | None:
        """Name a service without which no request can be answered now; None if there is none."""
        return next((name for name, state in self.states.items() if not state.lets_requests_be_answered), None)

    async def watch(self, name: str, provide: Provide) -> None:
        """Ping a service for as long as the process lives."""
        try:
            while True:
                self.note(name, await self._ping(name, provide))
                seconds = PING_SECONDS if self.states[name].failures == 0 else PING_AGAIN_SECONDS
                await asyncio.sleep(seconds * random.uniform(1 - _JITTER, 1 + _JITTER))  # noqa: S311 - no secret
        finally:
            self._forget_late(name)

    def note(self, name: str, fault: str | None) -> None:
        """Note what a ping came to: None if it is healthy, else why not."""
        state = self.states[name]
        if fault is None:
            if not state.healthy:
                log.info("a service is healthy", extra={"service": name})
            state.healthy, state.was_healthy, state.reason, state.failures = True, True, "", 0
        else:
            state.failures += 1
            if state.healthy is not False and (state.failures >= FAILURES or not state.was_healthy):
                log.warning("a service is not healthy", extra={"service": name, "reason": fault})
                state.healthy = False
            if state.healthy is False:
                state.reason = fault
        self._metrics.set_up(name, up=state.healthy is True)

    async def _ping(self, name: str, provide: Provide) -> str | None:
        begun = time.perf_counter()
        try:
            service = await provide()
        except ServiceStartError as error:
            return error.reason
        except ContainerClosedError:  # while it was waited for
            return "other settings took its place"
        except Exception as error:  # whatever it is: who no longer asks would tell for ever what was so before
            log.exception("a service could not be asked how it is", extra={"service": name})
            return f"it is not to be had: {type(error).__qualname__}"
        if self._is_late(name, service):
            return _late()
        self._forget_late(name)
        asked = asyncio.ensure_future(_answer(service))
        self._late[name] = service, asked
        fault = await _in_time(asked)
        self._metrics.observe_ping(name, time.perf_counter() - begun)
        return fault

    def _is_late(self, name: str, service: Any) -> bool:
        """Tell whether a service still owes an answer: each further question might hold one more thread for good."""
        asked, answer = self._late.get(name, (None, None))
        return asked is service and answer is not None and not answer.done()

    def _forget_late(self, name: str) -> None:
        _, answer = self._late.pop(name, (None, None))
        if answer is not None:
            answer.cancel()


async def ping(service: Any) -> str | None:
    """Ask a service whether it is healthy; gives None if it is, else why not. One without a health check is."""
    asked = asyncio.ensure_future(_answer(service))
    try:
        return await _in_time(asked)
    finally:
        asked.cancel()  # and is not waited for: it may go on all the same


async def _in_time(answer: asyncio.Future[str | None]) -> str | None:
    done, _ = await asyncio.wait({answer}, timeout=PING_LIMIT_SECONDS)
    return answer.result() if done else _late()


def _late() -> str:
    return f"its health check did not answer within {PING_LIMIT_SECONDS:g} s"


async def _answer(service: Any) -> str | None:
    try:
        check = getattr(service, "health_check", None)
        return None if check is None or await check() else "its health check says no"
    except asyncio.CancelledError:
        return "its health check was cancelled"
    except BaseException as error:  # noqa: BLE001 - own code raises what it likes, and the text may hold a secret
        return f"its health check raised {type(error).__qualname__}"
