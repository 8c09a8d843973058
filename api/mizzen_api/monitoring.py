"""`spec.monitoring` and `spec.logging`: what an agent's pods tell of their work."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from mizzen_api.base import ApiModel, Matching

CollectorAddress = Annotated[
    str,
    StringConstraints(max_length=2048),
    Matching(
        r"^https?://[^\s/?#@]+(/[^\s?#]*)?$",
        "write it as http://host:4318, without user, password or query: a token belongs in the variable "
        "OTEL_EXPORTER_OTLP_HEADERS in pod.env",
        may_be_secret=True,
    ),
]
LogLevel = Literal["debug", "info", "warning", "error"]


class LoggingSettings(ApiModel):
    """What the pods log."""

    level: LogLevel = "info"
    """From which level on. `info` has a line for each request; `warning` only what needs somebody's attention. A change
    is taken up in the running pods."""


class TracingSettings(ApiModel):
    """Where traces go."""

    endpoint: CollectorAddress
    """Address of a collector that takes OTLP over HTTP, such as `http://otel-collector.observability:4318`; spans go to
    `/v1/traces` below it."""
    sampling_ratio: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Which part of the traces that begin here is recorded; of those that callers have begun, the callers decide."""
    include_content: bool = False
    """Whether spans hold what users ask, what models answer, and what tools are given and return."""


class MonitoringSettings(ApiModel):
    """What the pods tell others of their work."""

    tracing: TracingSettings
    """Traces, by OpenTelemetry; none without it."""
