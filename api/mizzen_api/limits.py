"""`spec.limits`: how much an agent's pod does at once, and how long that may take."""

from typing import Annotated, Final

from pydantic import Field

from mizzen_api.base import ApiModel
from mizzen_api.duration import MAX_DURATION_SECONDS, Duration, seconds

_Concurrent = Annotated[int, Field(ge=1, le=1000)]
_Queued = Annotated[int, Field(ge=0, le=10000)]
_Seconds = Annotated[float, Field(gt=0, le=MAX_DURATION_SECONDS)]

MAX_CONCURRENT_REQUESTS: Final = 10
"""Without a `maxConcurrentRequests`: what a model server or a provider's rate limit can mostly take from one pod."""
MAX_QUEUED_REQUESTS: Final = 100
"""Without a `maxQueuedRequests`."""
REQUEST_TIMEOUT_SECONDS: Final = 60.0
"""Without a `requestTimeout`."""
BATCH_TIMEOUT_SECONDS: Final = 3600.0
"""Without a `batchTimeout`: 10,000 requests of 3 s each, ten at once, take 50 minutes."""


class Limits(ApiModel):
    """How much a pod does at once, and how long that may take. A change rolls."""

    max_concurrent_requests: _Concurrent | None = None
    """How many requests a pod answers at once, items of batches among them; 10 without it."""
    max_queued_requests: _Queued | None = None
    """How many more wait for their turn; 100 without it. Further ones are answered 429 at once, with `Retry-After`."""
    request_timeout: Duration | None = None
    """How long a request may take from its arrival to the end of its answer, the wait for its turn and all models and
    tools included; 60s without it. A caller's `Request-Timeout` header may only shorten it. A pod that is asked to
    leave stays as long as this for its last request."""
    batch_timeout: Duration | None = None
    """How long a whole batch may take; 1h without it. Items that have not begun by then are answered with an error."""


class RuntimeLimits(ApiModel):
    """The same for the runtime, with what was left out filled in."""

    max_concurrent_requests: _Concurrent = MAX_CONCURRENT_REQUESTS
    """How many requests run at once."""
    max_queued_requests: _Queued = MAX_QUEUED_REQUESTS
    """How many more wait for their turn."""
    request_timeout_seconds: _Seconds = REQUEST_TIMEOUT_SECONDS
    """Bound on a request, from its arrival to the end of its answer."""
    batch_timeout_seconds: _Seconds = BATCH_TIMEOUT_SECONDS
    """Bound on a whole batch."""


def runtime_limits(limits: Limits | None) -> RuntimeLimits:
    """Fill in what a resource leaves out."""
    given = limits or Limits()
    written = {
        "max_concurrent_requests": given.max_concurrent_requests,
        "max_queued_requests": given.max_queued_requests,
        "request_timeout_seconds": seconds(given.request_timeout) if given.request_timeout else None,
        "batch_timeout_seconds": seconds(given.batch_timeout) if given.batch_timeout else None,
    }
    return RuntimeLimits.model_validate({name: value for name, value in written.items() if value is not None})
