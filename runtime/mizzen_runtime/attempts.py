"""What a request asked of models: which one, how that ended, how long it took; and what is left of its time."""

import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mizzen_runtime.errors import Outcome

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelResponse

MAX_TOLD = 20
"""Attempts that are remembered, the last ones: a run with tools may ask models some hundred times."""


@dataclass(slots=True)
class Attempt:
    """One request to one model."""

    model: str
    """`provider:name`, as the configuration has it."""
    place: int
    """Which one of the chain it is, from 0."""
    started: float
    """When it began (`time.perf_counter`)."""
    observe: "Callable[[Attempt], None] | None" = field(default=None, repr=False)
    """Is told when the outcome is known, exactly once."""
    seconds: float | None = None
    """How long it took; None while it goes on."""
    outcome: Outcome | None = None
    """How it ended; None while that is not known."""
    facts: Mapping[str, object] = field(default_factory=dict)
    """What may be logged of its failure; never a text, which may hold content."""
    response: "ModelResponse | None" = None
    """What the model answered, or what came of it until its stream broke; None if nothing came."""
    was_asked: bool = True
    """Whether the model was asked at all; not, where its breaker was open."""

    def end(self, outcome: Outcome | None, facts: Mapping[str, object] | None = None) -> None:
        """Note the end; without an outcome for one that was cancelled, see `Attempts.settle`."""
        self.seconds = time.perf_counter() - self.started
        self.facts = facts or {}
        if outcome is not None:
            self.settle(outcome)

    def settle(self, outcome: Outcome) -> None:
        """Note how it ended."""
        self.outcome = outcome
        if self.observe is not None:
            self.observe(self)
        self.response = None  # as large as the answer, and attempts are kept as long as the request


class Attempts:
    """All attempts of one request, in the order in which they began."""

    def __init__(
        self,
        deadline: float,
        observe: Callable[[Attempt], None] | None = None,
        *,
        allowed: float = math.inf,
    ) -> None:
        """Remember nothing yet.

        Args:
            deadline: When the request must be answered (`time.perf_counter`).
            observe: Is told each attempt once, as soon as it is known how it ended.
            allowed: Seconds that the agent gives any request; a caller may have given this one less.
        """
        self._deadline = deadline
        self._observe = observe
        self.allowed = allowed
        self._last: deque[Attempt] = deque(maxlen=MAX_TOLD)
        self._count = 0

    def begin(self, model: str, place: int) -> Attempt:
        """Note that a model is being asked.

        Args:
            model: Its name.
            place: Which one of the chain it is, from 0.
        """
        attempt = Attempt(model, place, time.perf_counter(), self._observe)
        self._last.append(attempt)
        self._count += 1
        return attempt

    def pass_over(self, model: str, place: int, outcome: Outcome, facts: Mapping[str, object]) -> None:
        """Note that a model was not asked, because its breaker was open."""
        attempt = self.begin(model, place)
        attempt.seconds, attempt.outcome, attempt.facts, attempt.was_asked = 0.0, outcome, facts, False

    def settle(self, outcome: Outcome) -> None:
        """Say how those ended that were cancelled: only who did it knows."""
        for attempt in self._last:
            if attempt.outcome is None and attempt.seconds is not None:
                attempt.settle(outcome)

    @property
    def time_left(self) -> float:
        """Seconds until the request must be answered; 0 when they are over."""
        return max(0.0, self._deadline - time.perf_counter())

    @property
    def last_model(self) -> str | None:
        """The model that was asked last, which is the one that answered if any did; None if none was asked."""
        return self._last[-1].model if self._last else None

    @property
    def any_failed(self) -> bool:
        """Whether a model that was asked did not answer."""
        return any(attempt.was_asked and attempt.outcome is not Outcome.OK for attempt in self._last)

    def as_json(self) -> dict[str, object]:
        """Give the members of an answer or of problem details that tell of them."""
        told: dict[str, object] = {"attempts": [_as_json(attempt) for attempt in self._ended()]}
        omitted = self._count - len(self._last)
        return told | {"attempts_omitted": omitted} if omitted else told

    def as_log(self) -> list[dict[str, object]]:
        """Give the same for the log, with what is known of failures."""
        return [_as_json(attempt) | dict(attempt.facts) for attempt in self._ended()]

    def _ended(self) -> list[Attempt]:
        return [attempt for attempt in self._last if attempt.seconds is not None]


def _as_json(attempt: Attempt) -> dict[str, object]:
    return {"model": attempt.model, "outcome": attempt.outcome, "seconds": round(attempt.seconds or 0.0, 6)}


current_attempts: ContextVar[Attempts | None] = ContextVar("current_attempts", default=None)
"""Of the request that is being answered. Each has a task of its own, and the tasks that it starts copy this."""
