"""What a pod says of itself, as far as conditions rest on it. The answer is a stranger's: little of it is kept."""

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import ValidationError

from mizzen_api.contract import CONTRACT_VERSION, StateReport, contract_version_of
from mizzen_api.health import REMEDIES, HealthCode
from mizzen_api.problems import Problem, shortened
from mizzen_operator.records import PodRecord
from mizzen_operator.status.wording import steady

MAX_KEPT = 32
"""Reasons why it is not well, and failures of reloads, that are kept of a pod: a resource cannot name more services."""
MAX_TEXT = 400
"""Characters that are kept of each text."""


class NoReportError(Exception):
    """An answer that is not the report of the pod that was asked; the message says what it is."""


class OtherContractError(Exception):
    """A report in a version of the contract that this operator does not know."""

    def __init__(self, version: int) -> None:
        super().__init__(f"version {version} of the contract")
        self.version = version


_CODES = tuple(HealthCode)
_TOLD = frozenset(HealthCode) - {HealthCode.NOT_READY}
"""What a condition repeats. Whether a pod is ready, kubelet says, and a pod's reasons for that are told beside it."""


@dataclass(frozen=True, slots=True)
class PodReason:
    """Why a pod is not well, in words that do not change as long as that is so."""

    code: HealthCode
    title: str
    """What is the case; the same in every pod."""
    detail: str
    """Why."""
    remedy: str

    @property
    def rank(self) -> tuple[int, str, str]:
        """By which reasons are sorted: causes come before what they cause."""
        return _CODES.index(self.code), self.title, self.detail


@dataclass(frozen=True, slots=True)
class PodReport:
    """What a pod says."""

    reasons: tuple[PodReason, ...] = ()
    """Why it is not well."""
    is_settled: bool = True
    """Every service was asked how it is, and what came of it is among the reasons."""
    test_services: bool = False
    """Test doubles stand in for services."""
    reload_failures: tuple[Problem, ...] = ()
    """Why changed ConfigMaps and Secrets are not in force."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of reading a pod's reports until now."""

    report: PodReport | None = None
    """The last one that could be read."""
    is_silent: bool = False
    """It could not be read for a while: how the pod is now is not known."""
    contract_version: int | None = None
    """The version in which it speaks, if that is another one than the operator's."""


def can_be_asked(pod: PodRecord) -> bool:
    """Tell whether a pod is to have a report: it has read its configuration, and it stays."""
    return pod.started and not pod.leaving and pod.address is not None


def parse_report(answer: bytes, pod: PodRecord) -> PodReport:
    """Read what a pod has answered.

    What a later release adds to a report is left out, as long as the version of the contract is the same.

    Raises:
        NoReportError: It is no report, or that of another agent or revision: addresses are used again.
        OtherContractError: It is one in another version.
    """
    try:
        report = StateReport.model_validate_json(answer, extra="ignore")
    except ValidationError as error:
        version = contract_version_of(answer.decode(errors="replace"))
        if version is not None and version != CONTRACT_VERSION:
            raise OtherContractError(version) from error
        raise NoReportError("the answer is no report of a state") from error
    said = (report.namespace, report.name, report.revision)
    if said != (pod.key.namespace, pod.key.name, pod.revision):
        raise NoReportError(f"it is another pod's: of {shortened('/'.join(said), MAX_TEXT)}")
    return PodReport(
        reasons=tuple(sorted(set(_reasons(report)), key=lambda reason: reason.rank)[:MAX_KEPT]),
        is_settled=_is_settled(report),
        test_services=report.test_services,
        reload_failures=tuple(sorted({_problem(each) for each in report.reload_failures}, key=str)[:MAX_KEPT]),
    )


def _reasons(report: StateReport) -> Iterator[PodReason]:
    """Give why a pod is not well. A runtime of a release before `spec.health` says it of its services alone."""
    if report.health is None:
        code = HealthCode.SERVICE_UNHEALTHY
        for service in report.services:
            if service.healthy is False:
                yield _reason(code, f"Service {service.name!r} is not healthy", service.reason, REMEDIES[code])
        return
    for reason in report.health.reasons:
        if reason.code in _TOLD:
            yield _reason(HealthCode(reason.code), reason.title, reason.detail, reason.remedy)


def _reason(code: HealthCode, title: str, detail: str, remedy: str) -> PodReason:
    return PodReason(code, _kept(title), _kept(detail.removesuffix(".")), _kept(remedy))


def _is_settled(report: StateReport) -> bool:
    """Tell whether what a pod says of its services stands in its reasons: these come a second later, or a few."""
    told = {reason.subject for reason in report.health.reasons} if report.health is not None else None
    return report.phase != "Starting" and all(
        service.healthy is True or (service.healthy is False and (told is None or service.name in told))
        for service in report.services
    )


def _problem(problem: Problem) -> Problem:
    return Problem(field=_kept(problem.field), message=_kept(problem.message), remedy=_kept(problem.remedy))


def _kept(text: str) -> str:
    return shortened(steady(text), MAX_TEXT)
