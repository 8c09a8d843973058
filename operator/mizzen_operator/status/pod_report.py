"""What a pod says of itself, as far as conditions rest on it. The answer is a stranger's: little of it is kept."""

from dataclasses import dataclass

from pydantic import ValidationError

from mizzen_api.contract import CONTRACT_VERSION, StateReport, contract_version_of
from mizzen_api.problems import Problem, shortened
from mizzen_operator.records import PodRecord
from mizzen_operator.status.wording import steady

MAX_KEPT = 32
"""Services, and failures of reloads, that are kept of a pod: a resource cannot name more services."""
MAX_TEXT = 400
"""Characters that are kept of each text."""


class NoReportError(Exception):
    """An answer that is not the report of the pod that was asked; the message says what it is."""


class OtherContractError(Exception):
    """A report in a version of the contract that this operator does not know."""

    def __init__(self, version: int) -> None:
        super().__init__(f"version {version} of the contract")
        self.version = version


@dataclass(frozen=True, slots=True)
class PodReport:
    """What a pod says."""

    unhealthy: tuple[tuple[str, str], ...] = ()
    """The services that are not healthy by name, each with its reason."""
    is_settled: bool = True
    """Every service was asked how it is."""
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
    unhealthy = {service.name: service.reason for service in report.services if service.healthy is False}
    return PodReport(
        unhealthy=tuple(sorted((_kept(name), _kept(reason)) for name, reason in unhealthy.items())[:MAX_KEPT]),
        is_settled=report.phase != "Starting" and all(service.healthy is not None for service in report.services),
        test_services=report.test_services,
        reload_failures=tuple(sorted({_problem(each) for each in report.reload_failures}, key=str)[:MAX_KEPT]),
    )


def _problem(problem: Problem) -> Problem:
    return Problem(field=_kept(problem.field), message=_kept(problem.message), remedy=_kept(problem.remedy))


def _kept(text: str) -> str:
    return shortened(steady(text), MAX_TEXT)
