"""Reading what a pod has answered: whatever it is, it is a report of this pod or it is told what else."""

import json
from typing import Any

import pytest

from mizzen_api.contract import ServiceReport, StateReport
from mizzen_api.health import HealthCode, HealthReason, HealthState, HealthStatus
from mizzen_api.problems import Problem
from mizzen_operator.status.pod_report import (
    MAX_KEPT,
    MAX_TEXT,
    NoReportError,
    OtherContractError,
    PodReason,
    PodReport,
    can_be_asked,
    parse_report,
)
from tests.unit.operator.builders import Object, at, container, not_healthy, pod

ADDRESS = {"podIP": "fd00::7"}
POD = pod("abc", {**container(started=True), **ADDRESS})


def report(**changes: Any) -> StateReport:
    """Give the report of `POD`, with `changes`."""
    well: dict[str, Any] = {
        "runtime_version": "0.1.0",
        "namespace": "team",
        "name": "hello",
        "revision": "abc",
        "phase": "Serving",
        "in_flight": 3,
        "models": ("test",),
    }
    return StateReport(**{**well, **changes})


def answer(**changes: Any) -> bytes:
    return report(**changes).model_dump_json().encode()


def test_a_pod_that_is_well_says_nothing_to_be_kept() -> None:
    assert parse_report(answer(services=(ServiceReport(name="db", healthy=True),)), POD) == PodReport()


def test_what_matters_is_kept_in_an_order_that_never_changes() -> None:
    away = ServiceReport(name="db", healthy=False, reason="dial tcp 10.0.0.9:4711->10.0.0.8:5432:\n refused")
    services = (away, ServiceReport(name="cache", healthy=False, reason="no answer"))
    problems = tuple(Problem(field=field, message="m", remedy="r") for field in ("spec.b", "spec.a", "spec.b"))
    parsed = parse_report(answer(services=services, reload_failures=problems, test_services=True), POD)
    assert parsed == PodReport(
        (not_healthy("cache", "no answer"), not_healthy("db", "refused")),
        test_services=True,
        reload_failures=(problems[1], problems[0]),
    )


@pytest.mark.parametrize(
    "changes",
    [{"phase": "Starting"}, {"services": (ServiceReport(name="db", healthy=None),)}],
    ids=["phase", "service"],
)
def test_a_pod_that_has_not_asked_its_services_is_not_settled(changes: dict[str, Any]) -> None:
    assert parse_report(answer(**changes), POD) == PodReport(is_settled=False)


DETAIL = "more than 10 % have, which is spec.health.maxErrorRatePercent"


def reason(code: str, subject: str = "", *, figures: str = "", detail: str = DETAIL) -> HealthReason:
    """Give a reason as a runtime does."""
    status: HealthStatus = "unhealthy" if code == "NotReady" else "degraded"
    title, remedy = f"{code} {subject}".rstrip(), f"Mend {code}."
    return HealthReason(
        code=code, subject=subject, status=status, title=title, detail=detail, figures=figures, remedy=remedy
    )


def said(*reasons: HealthReason, **changes: Any) -> PodReport:
    return parse_report(answer(health=HealthState(status="degraded", reasons=reasons), **changes), POD)


def test_what_a_pod_says_of_its_health_is_kept_causes_first_and_without_its_figures() -> None:
    found = said(
        reason("ErrorRate", figures="7 of 9 requests failed."), reason("BreakerOpen", "b"), reason("BreakerOpen", "a")
    )
    assert found == PodReport(
        tuple(
            PodReason(HealthCode(code), title, DETAIL, f"Mend {code}.")
            for code, title in (
                ("BreakerOpen", "BreakerOpen a"),
                ("BreakerOpen", "BreakerOpen b"),
                ("ErrorRate", "ErrorRate"),
            )
        )
    )
    assert found == said(reason("BreakerOpen", "a"), reason("BreakerOpen", "b"), reason("ErrorRate", figures="none"))


def test_what_kubelet_says_and_what_a_later_release_knows_is_left_out() -> None:
    assert said(reason("NotReady"), reason("FromTheFuture")) == PodReport()


def test_a_service_whose_failure_is_not_among_the_reasons_yet_is_not_settled() -> None:
    away = (ServiceReport(name="db", healthy=False, reason="away"),)
    assert said(services=away) == PodReport(is_settled=False)
    assert said(reason("ServiceUnhealthy", "cache"), services=away).is_settled is False
    assert said(reason("ServiceUnhealthy", "db"), services=away).is_settled is True


def test_what_a_later_release_adds_is_left_out() -> None:
    raw = json.loads(answer(services=(ServiceReport(name="db", healthy=False, reason="away"),)))
    raw["fromTheFuture"] = 1
    raw["services"][0]["fromTheFuture"] = 1
    assert parse_report(json.dumps(raw).encode(), POD).reasons == (not_healthy("db", "away"),)


def test_little_is_kept_of_much() -> None:
    services = tuple(ServiceReport(name=f"{n:04}", healthy=False, reason="x" * 5000) for n in range(200))
    problems = tuple(Problem(field=f"{n:04}", message="x" * 5000, remedy="x" * 5000) for n in range(200))
    parsed = parse_report(answer(services=services, reload_failures=problems), POD)
    assert (len(parsed.reasons), len(parsed.reload_failures)) == (MAX_KEPT, MAX_KEPT)
    assert {len(reason.detail) for reason in parsed.reasons} == {MAX_TEXT}


@pytest.mark.parametrize("field", ["namespace", "name", "revision"])
def test_the_report_of_another_pod_is_told(field: str) -> None:
    with pytest.raises(NoReportError, match=r"it is another pod's: of .*other"):
        parse_report(answer(**{field: "other"}), POD)


GARBAGE = {
    "nothing": b"",
    "no JSON": b"ok\n",
    "another JSON": b'{"status": "up"}',
    "a list": b"[]",
    "no UTF-8": b'{"contractVersion": "\xff"}',
    "many brackets": b"[" * 60000,
    "a huge number": b'{"contractVersion": ' + b"9" * 60000 + b"}",
    "a lone surrogate": answer().replace(b'"hello"', b'"\\ud800"'),
    "a version that is none": b'{"contractVersion": "two"}',
}


@pytest.mark.parametrize("name", GARBAGE)
def test_what_is_no_report_is_told(name: str) -> None:
    with pytest.raises(NoReportError, match="the answer is no report of a state"):
        parse_report(GARBAGE[name], POD)


@pytest.mark.parametrize(
    "raw", [{"contractVersion": 2}, {**json.loads(answer()), "contractVersion": 2}], ids=["shape", "version"]
)
def test_a_report_in_another_version_is_told(raw: Object) -> None:
    with pytest.raises(OtherContractError) as caught:
        parse_report(json.dumps(raw).encode(), POD)
    assert caught.value.version == 2


CANNOT = {
    "its startup probe has not succeeded": pod("abc", {**container(), **ADDRESS}),
    "it has no address": pod("abc", container(started=True)),
    "it leaves": pod("abc", {**container(started=True), **ADDRESS}, deletionTimestamp=at(0)),
}


def test_a_pod_is_asked_from_its_start_to_its_end() -> None:
    assert can_be_asked(POD)
    assert not any(can_be_asked(each) for each in CANNOT.values())
