"""What is said in a condition."""

from dataclasses import dataclass

from mizzen_api.conditions import SENTENCES, ConditionStatus, Reason


@dataclass(frozen=True)
class Verdict:
    """A condition without its bookkeeping."""

    status: ConditionStatus
    reason: Reason
    message: str


def said(status: ConditionStatus, reason: Reason) -> Verdict:
    """Give a verdict in the words that its reason has for people."""
    return Verdict(status, reason, SENTENCES[reason])
