"""Which HTTP answer each way to end badly gets. The only place that knows both."""

import math
from http import HTTPStatus

from mizzen_runtime.errors import Outcome, RunError
from mizzen_runtime.http.problem import ProblemDetails

_ANSWERS: dict[Outcome, tuple[int, str]] = {
    Outcome.INVALID_INPUT: (422, "The input cannot be answered"),
    Outcome.MODEL_UNAVAILABLE: (503, "The model is not available"),
    Outcome.MODEL_REJECTED: (502, "The model's provider turned the request down"),
    Outcome.MODEL_REFUSED: (422, "The model refused"),
    Outcome.MODEL_MISBEHAVED: (502, "The model gave no usable answer"),
    Outcome.SERVICE_UNAVAILABLE: (503, "A service of the agent is not available"),
    Outcome.DEADLINE_EXCEEDED: (504, "The request took too long"),
    # Not 503: a mesh repeats that one by itself, and takes pods that give it out of the load balancing, which leaves
    # the others with even more. RFC 6585 leaves it to the server what it counts; here it is requests at once.
    Outcome.OVERLOADED: (429, "The agent has too much to do"),
    Outcome.DRAINING: (503, "The pod is being replaced"),
    Outcome.AGENT_FAILED: (500, "The agent failed"),
}
_WITH_RETRY_AFTER = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
_DEFAULT_RETRY_SECONDS = 1


def problem_of(error: RunError, request_id: str) -> ProblemDetails:
    """Give the answer for a request that ended without one."""
    status, title = _ANSWERS[error.outcome]
    headers = []
    if status in _WITH_RETRY_AFTER:
        seconds = math.ceil(error.retry_after) if error.retry_after else _DEFAULT_RETRY_SECONDS
        headers = [(b"retry-after", str(seconds).encode())]
    return ProblemDetails(
        status=status,
        code=error.outcome.value.replace("_", "-"),
        title=title,
        detail=error.detail,
        request_id=request_id,
        headers=headers,
        members=error.attempts,
    )
