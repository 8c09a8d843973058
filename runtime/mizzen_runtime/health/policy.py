"""What is made of the signals: a status, and each reason for it. A function of them and of the time.

Two things keep it from flapping. What has become too much stays so until it is clearly less (`LEAVE_AT`); and what is
told changes at most once in `HOLD_SECONDS`, and holds all that was the case within that time (`Hold`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from mizzen_api.health import REMEDIES, HealthCode, HealthReason, HealthState, HealthStatus, RuntimeHealth
from mizzen_runtime.health.hold import Hold
from mizzen_runtime.health.tally import Figures

LEAVE_AT = 0.8
"""Part of a bound below which what was above it has to fall to be well again."""
UNHEALTHY_PERCENT = 90
"""Share of the requests that must fail, in percent, for hardly a request to be answered."""
SLOW_PERCENT = 1
"""Share of the requests that may be slow, in percent."""
FEWEST = 2
"""Requests that must have failed or been slow, whatever their share is: one is chance."""
BREAKER_SECONDS = 5.0
"""How long a breaker must not have been closed: a provider may ask once to be left alone for a second."""

_ORDER = {code.value: place for place, code in enumerate(HealthCode)}
_WORSE: dict[HealthStatus, int] = {"healthy": 0, "degraded": 1, "unhealthy": 2}


@dataclass(frozen=True, slots=True)
class BreakerSignal:
    """A circuit breaker that is not closed."""

    is_open: bool
    """Whether no call passes. If not, the next ones decide whether it closes."""
    figures: str = ""
    """What made it open, in a sentence."""


@dataclass(frozen=True, slots=True)
class HealthSignals:
    """What health is made of, at one moment."""

    figures: Figures = field(default_factory=Figures)
    """The requests of the window."""
    unhealthy_services: Mapping[str, str] = field(default_factory=dict)
    """Why each service is not healthy that is not, by name."""
    breakers: Mapping[str, BreakerSignal] = field(default_factory=dict)
    """The circuit breakers that are not closed, by name."""


class HealthPolicy:
    """Judges one set of signals after the other."""

    def __init__(self, settings: RuntimeHealth) -> None:
        """Find everything well at first."""
        self._settings = settings
        self._seconds = f"{settings.window_seconds:g} s"
        percent = settings.max_error_rate_percent
        self._too_many_fail = _Share(percent, settings.min_requests)
        self._most_fail = _Share(max(percent, UNHEALTHY_PERCENT), settings.min_requests)
        self._too_many_slow = _Share(SLOW_PERCENT, settings.min_requests)
        self._too_many_turned_away = _Share(percent, settings.min_requests)
        self._not_closed_since: dict[str, float] = {}
        self._half_open_since: dict[str, float] = {}
        self._hold = Hold()

    def judge(self, signals: HealthSignals, now: float) -> tuple[HealthReason, ...]:
        """Give what is told of the pod from now on.

        Args:
            signals: How everything is.
            now: The time in seconds; it never goes back.
        """
        return self._hold.note(tuple(self._present(signals, now)), now)

    def _present(self, signals: HealthSignals, now: float) -> Iterator[HealthReason]:
        """Give what is the case at this moment."""
        for service, detail in sorted(signals.unhealthy_services.items()):
            title = f"Service {service!r} is not healthy"
            yield _reason(HealthCode.SERVICE_UNHEALTHY, title, detail.removesuffix("."), subject=service)
        yield from self._breakers(signals.breakers, now)
        yield from self._queue(signals.figures)
        yield from self._errors(signals.figures)
        yield from self._latency(signals.figures)

    def _breakers(self, breakers: Mapping[str, BreakerSignal], now: float) -> Iterator[HealthReason]:
        """Give those that have not been closed for a while.

        One that waits for a call to decide does so for as long as nobody asks: then it says nothing after a while,
        like requests that are no longer in the window.
        """
        half_open = [name for name, breaker in breakers.items() if not breaker.is_open]
        self._not_closed_since = {name: self._not_closed_since.get(name, now) for name in breakers}
        self._half_open_since = {name: self._half_open_since.get(name, now) for name in half_open}
        for name, breaker in sorted(breakers.items()):
            waited = now - self._half_open_since.get(name, now)
            if now - self._not_closed_since[name] >= BREAKER_SECONDS and waited < self._settings.window_seconds:
                yield _reason(
                    HealthCode.BREAKER_OPEN,
                    f"The circuit breaker {name!r} is open",
                    "so many calls failed or were slow, or the other side asked for it, that few are made or none",
                    subject=name,
                    figures=breaker.figures,
                )

    def _queue(self, figures: Figures) -> Iterator[HealthReason]:
        came = figures.turned_away + figures.requests
        if self._too_many_turned_away.is_too_large(figures.turned_away, came):
            yield _reason(
                HealthCode.QUEUE_FULL,
                "Requests are turned away",
                f"as many run and wait as spec.limits allows, and more than {self._too_many_turned_away.percent} % "
                "found no place",
                figures=f"{figures.turned_away} of {came} requests of the last {self._seconds} did.",
            )

    def _errors(self, figures: Figures) -> Iterator[HealthReason]:
        too_many = self._too_many_fail.is_too_large(figures.failures, figures.requests)
        most = self._most_fail.is_too_large(figures.failures, figures.requests)
        if most:
            detail = f"hardly one is answered, more than {self._most_fail.percent} % have failed"
        elif too_many:
            detail = f"more than {self._too_many_fail.percent} % have, which is spec.health.maxErrorRatePercent"
        else:
            return
        share = 100 * figures.failures / figures.requests
        yield _reason(
            HealthCode.ERROR_RATE,
            "Too many requests fail",
            detail,
            status="unhealthy" if most else "degraded",
            figures=(
                f"{figures.failures} of {figures.requests} requests of the last {self._seconds} "
                f"failed ({share:.1f} %), most often with {figures.commonest_failure}."
            ),
        )

    def _latency(self, figures: Figures) -> Iterator[HealthReason]:
        bound = self._settings.max_latency_seconds
        if bound is None or not self._too_many_slow.is_too_large(figures.slow, figures.timed):
            return
        yield _reason(
            HealthCode.LATENCY,
            "Requests take too long",
            f"more than one of a hundred took longer than {bound:g} s, which is spec.health.maxLatency",
            figures=(
                f"{figures.slow} of {figures.timed} requests of the last {self._seconds} did "
                f"({100 * figures.slow / figures.timed:.1f} %)."
            ),
        )


def not_ready(detail: str) -> HealthReason:
    """Give the reason of a pod that is to get no requests.

    Args:
        detail: Why.
    """
    return _reason(HealthCode.NOT_READY, "The pod gets no requests", detail, status="unhealthy")


def state_of(reasons: Sequence[HealthReason]) -> HealthState:
    """Give the state of a pod of which nothing else is told than `reasons`."""
    ordered = sorted(reasons, key=lambda reason: (_ORDER[reason.code], reason.subject))
    statuses: list[HealthStatus] = [reason.status for reason in ordered]
    return HealthState(status=max(statuses, key=_WORSE.__getitem__, default="healthy"), reasons=tuple(ordered))


def _reason(
    code: HealthCode,
    title: str,
    detail: str,
    *,
    subject: str = "",
    status: HealthStatus = "degraded",
    figures: str = "",
) -> HealthReason:
    return HealthReason(
        code=code.value,
        subject=subject,
        status=status,
        title=title,
        detail=detail,
        figures=figures,
        remedy=REMEDIES[code],
    )


class _Share:
    """A share of something that is too large: until it is below `LEAVE_AT` of the bound that it was above."""

    def __init__(self, percent: float, least_whole: int) -> None:
        """Find it small enough at first.

        Args:
            percent: What it may be.
            least_whole: Of how much at least; of less, nothing is said.
        """
        self.percent = percent
        self._least_whole = least_whole
        self._is_too_large = False

    def is_too_large(self, part: int, whole: int) -> bool:
        """Tell whether a part is too large now, given how it was before."""
        factor = LEAVE_AT if self._is_too_large else 1.0
        self._is_too_large = (
            whole >= factor * self._least_whole
            and 100 * part > factor * self.percent * whole
            and (self._is_too_large or part >= FEWEST)
        )
        return self._is_too_large
