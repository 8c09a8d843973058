"""The agent's metrics as one object: what `GET /v1/metrics` answers."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, computed_field


class AgentMetrics(BaseModel):
    """How the agent did: counts since the start of this pod's agent, the rest over a window that ends now.

    `mizzen_runtime.statistics.verdict` says which requests failed, which neither failed nor succeeded, and which say
    how long an answer takes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    total_requests: int
    """Requests that ended, in whatever way, since the start."""
    successful_requests: int
    """Those that were answered."""
    failed_requests: int
    """Those that got no answer although the caller did nothing wrong and did not leave. The rest of all is neither."""
    average_response_time_ms: float
    """Over the window, of requests that were answered or ended by their deadline; 0 if there were none."""
    p95_response_time_ms: float
    """Of the same; off by less than 1 %."""
    p99_response_time_ms: float
    """As above."""
    error_rate_percent: float
    """Failed ones over the window, out of those that failed or succeeded; 0 if there were none."""
    last_request_timestamp: datetime | None
    """When the last one ended, in UTC; null before the first."""
    uptime_seconds: float
    """Since the start."""
    memory_usage_mb: float
    """What the process has in memory (resident), in millions of bytes."""
    window_seconds: float
    """The window's length. What ended up to 10 s earlier may still be in it."""
    window_requests: int
    """Requests that failed or succeeded over the window."""

    @computed_field  # type: ignore[prop-decorator]  # mypy knows no decorated property
    @property
    def success_rate_percent(self) -> float:
        """Successful ones since the start, out of those that failed or succeeded; 100 before the first."""
        judged = self.successful_requests + self.failed_requests
        return 100.0 * self.successful_requests / judged if judged else 100.0
