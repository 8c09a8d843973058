"""Keeps what is told from flapping."""

from collections.abc import Sequence
from dataclasses import dataclass

from mizzen_api.health import HealthReason

HOLD_SECONDS = 15.0
"""What is told changes at most once within this time; what has ended is told for as long. So something that lasts is
told at once, or after this time where something else has just changed; its end after this time, or twice that."""

_Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class _Seen:
    reason: HealthReason
    at: float
    """When it was last the case."""


class Hold:
    """What is told, from one moment to the next."""

    def __init__(self) -> None:
        """Tell nothing yet."""
        self._seen: dict[_Key, _Seen] = {}
        self._told: tuple[HealthReason, ...] = ()
        self._changed_at: float | None = None

    def note(self, present: Sequence[HealthReason], now: float) -> tuple[HealthReason, ...]:
        """Note what is the case, and give what is told.

        Args:
            present: All reasons that are the case now.
            now: The time in seconds; it never goes back.
        """
        self._seen.update({_key(reason): _Seen(reason, now) for reason in present})
        self._seen = {key: seen for key, seen in self._seen.items() if now - seen.at < HOLD_SECONDS}
        recent = self._recent(now)
        if {_key(each) for each in recent} == {_key(each) for each in self._told}:
            self._told = recent
        elif self._changed_at is None or now - self._changed_at >= HOLD_SECONDS:
            self._told, self._changed_at = recent, now
        else:
            self._told = tuple(self._as_it_is_now(reason, now) for reason in self._told)
        return self._told

    def _recent(self, now: float) -> tuple[HealthReason, ...]:
        """Give what was the case lately, of each the worst that it was."""
        worst: dict[tuple[str, str], HealthReason] = {}
        for seen in sorted(self._seen.values(), key=lambda seen: seen.reason.status):  # degraded, then unhealthy
            worst[seen.reason.code, seen.reason.subject] = _lasting(seen.reason, lasts=seen.at == now)
        return tuple(worst.values())

    def _as_it_is_now(self, told: HealthReason, now: float) -> HealthReason:
        seen = self._seen.get(_key(told))
        return _lasting(told, lasts=False) if seen is None else _lasting(seen.reason, lasts=seen.at == now)


def _key(reason: HealthReason) -> _Key:
    return reason.code, reason.subject, reason.status


def _lasting(reason: HealthReason, *, lasts: bool) -> HealthReason:
    return reason if reason.lasts == lasts else reason.model_copy(update={"lasts": lasts})
