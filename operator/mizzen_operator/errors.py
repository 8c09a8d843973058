"""How a reconcile can fail, by what happens next. Anything else that is raised backs off and tries again."""

from mizzen_api.conditions import Reason


class ReconcileError(Exception):
    """Something keeps the desired state from being reached; told in the conditions."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        """What the conditions give as their reason."""
        self.message = message
        """What they say to people, with the remedy."""


class TryAgainError(ReconcileError):
    """A call failed in a way that may pass: back off, and not less than `retry_after` seconds."""

    def __init__(self, reason: Reason, message: str, retry_after: float | None) -> None:
        super().__init__(reason, message)
        self.retry_after = retry_after


class UserMustActError(ReconcileError):
    """Only a change of the resource helps, and that brings an event: no retry."""


class WaitForError(ReconcileError):
    """Something outside must change, and nothing will tell of it: look again after `seconds`."""

    def __init__(self, reason: Reason, message: str, seconds: float) -> None:
        super().__init__(reason, message)
        self.seconds = seconds
