"""`docs/metrics.md` lists every metric with its labels, and says what each outcome counts for, as the code has it."""

import re

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from manifests.chart_values import CHECKOUT
from mizzen_api.breakers import BreakerSpec
from mizzen_api.health import HealthState
from mizzen_runtime.admission_metrics import observed_gate
from mizzen_runtime.breakers import Breakers
from mizzen_runtime.breakers.metrics import BreakerCollector
from mizzen_runtime.health.metrics import HealthCollector
from mizzen_runtime.metrics import RequestMetrics, ServiceMetrics, watch_loop_lag
from mizzen_runtime.model_metrics import ObservedModel
from mizzen_runtime.statistics.agent_metrics import AgentMetrics
from mizzen_runtime.statistics.sliding_window import SLICES
from mizzen_runtime.statistics.verdict import VERDICTS

PAGE = (CHECKOUT / "docs" / "metrics.md").read_text()


@pytest.fixture
def registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    observed_gate(registry, max_running=1, max_queued=1)
    watch_loop_lag(registry, lambda: 0.0)
    ServiceMetrics(registry).set_up("crm", up=True)
    registry.register(HealthCollector(lambda: HealthState(status="healthy")))
    breakers = Breakers()
    breakers.add("service:crm", BreakerSpec(minimum_calls=1).rendered()).acquire().succeeded()
    registry.register(BreakerCollector(breakers))
    RequestMetrics(
        registry, namespace="n", agent="a", revision="r", in_flight=lambda: 0, models=[ObservedModel("p", "m")]
    )
    return registry


def labels_of(registry: CollectorRegistry) -> dict[str, set[str]]:
    """Give the labels of each metric, as Prometheus names it."""
    found = {}
    for metric in registry.collect():
        name = f"{metric.name}_total" if metric.type == "counter" else metric.name
        found[name] = {label for sample in metric.samples for label in sample.labels} - {"le"}
    for collector in registry._collector_to_names:
        if isinstance(collector, MetricWrapperBase):  # also those that have no series yet
            name = f"{collector._name}_total" if collector._type == "counter" else collector._name
            found[name] = set(collector._labelnames)
    return found


def test_every_metric_is_listed_with_its_type_and_labels(registry: CollectorRegistry) -> None:
    rows = re.findall(r"^\| `(\w+)` \| (counter|gauge|histogram) \|([^|]*)\|", PAGE, re.MULTILINE)

    assert {name: set(re.findall(r"`(\w+)`", labels)) for name, _, labels in rows} == labels_of(registry)
    types = {f"{each.name}_total" if each.type == "counter" else each.name: each.type for each in registry.collect()}
    assert {name: kind for name, kind, _ in rows} == types


def test_every_outcome_counts_for_what_the_page_says() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (succeeded|failed|neither) \| (yes|no) \|$", PAGE, re.MULTILINE)
    told = {
        outcome.value: (
            "neither" if not verdict.judged else "failed" if verdict.failed else "succeeded",
            "yes" if verdict.timed else "no",
        )
        for outcome, verdict in VERDICTS.items()
    }

    assert {name: (judgement, timed) for name, judgement, timed in rows} == told


def test_the_example_has_every_field() -> None:
    (example,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)

    assert re.findall(r'^  "(\w+)"', example, re.MULTILINE) == [
        *AgentMetrics.model_fields,
        *AgentMetrics.model_computed_fields,
    ]


def test_the_window_is_as_large_as_the_page_says() -> None:
    assert f"{SLICES} slices of the window take 142 KB" in PAGE
