"""How a request can end: a closed set."""

from enum import StrEnum


class Outcome(StrEnum):
    """How a request ended: the label of `mizzen_requests_total`."""

    OK = "ok"
    INVALID_INPUT = "invalid_input"
    """The caller must change the request."""
    MODEL_UNAVAILABLE = "model_unavailable"
    """The model's provider cannot be reached, is overloaded, limits the rate, or does not answer in time."""
    MODEL_REJECTED = "model_rejected"
    """The provider turned the request down for good: a wrong key, an unknown model, a wrong setting."""
    MODEL_REFUSED = "model_refused"
    """The model or its provider's filter declined to answer."""
    MODEL_MISBEHAVED = "model_misbehaved"
    """The model answered with something that is no answer: garbage, or not what the output schema asks for."""
    SERVICE_UNAVAILABLE = "service_unavailable"
    """A service that the agent needs cannot be reached, or does not answer in time."""
    DEADLINE_EXCEEDED = "deadline_exceeded"
    """The request took longer than it may."""
    OVERLOADED = "overloaded"
    """As many requests run and wait as the agent's limits allow."""
    DRAINING = "draining"
    """The pod was asked to leave before the item of a batch had begun."""
    AGENT_FAILED = "agent_failed"
    """The agent's own code failed, such as a tool."""
    CANCELLED = "cancelled"
    """The caller left before the answer."""


class RunError(Exception):
    """A request that ended without an answer."""

    def __init__(self, outcome: Outcome, detail: str, *, retry_after: float | None = None) -> None:
        """Keep what the caller is told.

        Args:
            outcome: Which of the set.
            detail: What happened and what helps, in one sentence. Never another exception's text: that may hold
                what a model answered, or a password in a connection string.
            retry_after: Seconds after which it is worth asking again, where a provider or the agent's gate said so.
        """
        super().__init__(detail)
        self.outcome = outcome
        self.detail = detail
        self.retry_after = retry_after
        self.attempts: dict[str, object] = {}
        """What was asked of models before, in the form that the caller is told; see `mizzen_runtime.attempts`."""
