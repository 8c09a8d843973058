"""What the end of a request says of the agent."""

from dataclasses import dataclass

from mizzen_runtime.errors import Outcome

NOBODYS_FAULT = frozenset({Outcome.INVALID_INPUT, Outcome.MODEL_REFUSED, Outcome.CANCELLED})
"""Neither success nor failure: the caller's input was wrong, the model declined as it is meant to, or the caller left.
Whoever sends garbage could otherwise make an agent look ill, or, counted as success, hide that it is."""
TIMED = frozenset({Outcome.OK, Outcome.DEADLINE_EXCEEDED})
"""Those that say how long an answer takes: who got one, and who waited for it in vain until the time was over. Other
failures are left to the error rate: most come at once, and would make an agent that fails look fast."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one outcome counts for."""

    judged: bool
    """Whether it is success or failure."""
    failed: bool
    """Whether a caller who did everything right got no answer."""
    timed: bool
    """Whether its duration counts."""


VERDICTS = {
    outcome: Verdict(
        judged=outcome not in NOBODYS_FAULT,
        failed=outcome is not Outcome.OK and outcome not in NOBODYS_FAULT,
        timed=outcome in TIMED,
    )
    for outcome in Outcome
}
"""Of every outcome: one that is added is a failure unless it is listed above."""
