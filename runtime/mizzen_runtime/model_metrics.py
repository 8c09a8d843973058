"""What Prometheus sees of requests to models, in the names and buckets of OpenTelemetry's conventions for GenAI.

The conventions' dots are underscores, and the unit is a suffix, as OpenTelemetry writes its metrics for Prometheus.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from pydantic_ai.messages import ModelResponse

from mizzen_runtime.attempts import Attempt
from mizzen_runtime.errors import Outcome

DURATION_BUCKETS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
"""Seconds. Those of `gen_ai.client.operation.duration`."""
TOKEN_BUCKETS = tuple(4**power for power in range(14))
"""Those of `gen_ai.client.token.usage`."""

Price = Callable[[ModelResponse], Decimal | None]
"""Gives what an answer cost in US dollars; None where that cannot be told."""


@dataclass(frozen=True, slots=True)
class ObservedModel:
    """One model of the chain."""

    provider: str
    """As pydantic-ai calls it, such as `openai`."""
    name: str
    """As the provider calls it, such as `gpt-5.2`."""
    price: Price | None = None
    """None where its price is not known."""


class ModelMetrics:
    """Requests to models: how long they took, what they used and cost."""

    def __init__(self, registry: CollectorRegistry, models: Sequence[ObservedModel]) -> None:
        """Register every metric.

        Args:
            registry: Where they are registered.
            models: The chain, in order.
        """
        who = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model")
        durations = Histogram(
            "gen_ai_client_operation_duration_seconds",
            "Time that a request to a model took, with how it failed if it did",
            (*who, "error_type"),
            buckets=DURATION_BUCKETS,
            registry=registry,
        )
        tokens = Histogram(
            "gen_ai_client_token_usage",
            "Tokens of a request to a model, as its provider reported them",
            (*who, "gen_ai_token_type"),
            buckets=TOKEN_BUCKETS,
            registry=registry,
        )
        costs = Counter("mizzen_cost_usd", "What requests to a model cost, in US dollars", who[1:], registry=registry)
        known = Gauge(
            "mizzen_model_price_known",
            "Whether a model has a price; without one its requests cost nothing in mizzen_cost_usd_total",
            who[1:],
            registry=registry,
        )
        self._series = [_Series(model, durations, tokens, costs) for model in models]
        for model in models:
            known.labels(model.provider, model.name).set(model.price is not None)

    def observe(self, attempt: Attempt) -> None:
        """Count one request to a model, whose outcome is known now."""
        self._series[attempt.place].observe(attempt)


class _Series:
    """The series of one model."""

    def __init__(self, model: ObservedModel, durations: Histogram, tokens: Histogram, costs: Counter) -> None:
        self._price = model.price
        labels = ("chat", model.provider, model.name)
        self._durations = durations
        self._labels = labels
        self._answered = durations.labels(*labels, "")
        self._input = tokens.labels(*labels, "input")
        self._output = tokens.labels(*labels, "output")
        self._cost = costs.labels(*labels[1:])

    def observe(self, attempt: Attempt) -> None:
        # A child for each way to fail is made when one does: there may be eight models.
        failed = attempt.outcome not in {None, Outcome.OK}
        child = self._durations.labels(*self._labels, attempt.outcome) if failed else self._answered
        child.observe(attempt.seconds or 0.0)
        if attempt.response is not None:
            self._count(attempt.response)

    def _count(self, response: ModelResponse) -> None:
        usage = response.usage
        if usage.input_tokens or usage.output_tokens:  # a provider that reports nothing is not taken for zero
            self._input.observe(usage.input_tokens)
            self._output.observe(usage.output_tokens)
        cost = self._price(response) if self._price is not None else None
        if cost is not None:
            usage.cost = cost  # pydantic-ai works out its own only where there is none: once is enough
            self._cost.inc(float(cost))
