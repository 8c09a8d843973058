"""What the pods' own reports come to, in conditions.

While a pod has not been read yet, what the status says stays: an operator that was just started knows nothing, and has
nothing new to say for that.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from mizzen_api.conditions import ConditionType, Reason
from mizzen_api.problems import join_problems
from mizzen_operator.status.pod_report import Heard, PodReason, PodReport
from mizzen_operator.status.pod_status import contract_mismatch
from mizzen_operator.status.verdict import Verdict, said

MAX_DETAILS = 4
"""Of what the pods say differently about the same thing, as much is told."""


@dataclass(frozen=True)
class Reported:
    """What is known from the pods that can be asked."""

    heard: Sequence[Heard | None]
    """From each of them; None if it was not read yet."""
    before: Mapping[ConditionType, Verdict]
    """What the status says so far."""

    def health(self) -> Verdict | None:
        """Give `Healthy`; None if nobody can be asked. One pod that is not well decides it."""
        if not self.heard:
            return None
        if None in self.heard:
            return self._as_before(ConditionType.HEALTHY)
        if reasons := [reason for report in self._reports() for reason in report.reasons]:
            return self._not_well(sorted(reasons, key=lambda reason: reason.rank))
        if not all(report.is_settled for report in self._reports()):
            return self._as_before(ConditionType.HEALTHY)
        return self._unknown_health() or said("True", Reason.HEALTHY)

    def reload_failures(self) -> Verdict | None:
        """Give what `ConfigResolved` says of changes that are not in force; None if they all are."""
        before = self.before.get(ConditionType.CONFIG_RESOLVED)
        was_failing = before if before is not None and before.reason is Reason.RELOAD_FAILED else None
        if None in self.heard:
            return was_failing
        reports = [heard.report for heard in self.heard if heard is not None]
        problems = {problem for report in reports if report is not None for problem in report.reload_failures}
        if problems:
            return Verdict("False", Reason.RELOAD_FAILED, join_problems(sorted(problems, key=str)))
        return was_failing if None in reports else None

    def security(self) -> Verdict | None:
        """Give `Secure`; None if nobody can be asked. One pod with test doubles decides it."""
        if not self.heard:
            return None
        if None in self.heard:
            return self._as_before(ConditionType.SECURE)
        reports = [heard.report for heard in self.heard if heard is not None]
        doubles = sum(report is not None and report.test_services for report in reports)
        if doubles:
            text = (
                f"Test doubles stand in for services in {self._of_pods(doubles)}. (Take MIZZEN_PROFILE=test out of "
                "spec.pod.env, or out of the image.)"
            )
            return Verdict("False", Reason.TEST_SERVICES, text)
        return self._as_before(ConditionType.SECURE) if None in reports else said("True", Reason.AS_CONFIGURED)

    def _as_before(self, kind: ConditionType) -> Verdict:
        return self.before.get(kind) or said("Unknown", Reason.NO_REPORT)

    def _reports(self) -> Iterator[PodReport]:
        """Give the reports that say how pods are now."""
        for heard in self.heard:
            if heard is not None and heard.report is not None and not heard.is_silent:
                yield heard.report

    def _not_well(self, reasons: Sequence[PodReason]) -> Verdict:
        """Say what is the case, each with the pods counted, their details and what helps."""
        sentences = []
        for title, told in groupby(reasons, key=lambda reason: reason.title):
            alike = list(told)
            details = sorted({reason.detail for reason in alike})
            others = ["others"] if len(details) > MAX_DETAILS else []
            why = "; ".join(details[:MAX_DETAILS] + others)
            sentences.append(f"{title} in {self._of_pods(len(alike))}: {why}. ({alike[0].remedy})")
        return Verdict("False", Reason(reasons[0].code.value), " ".join(sentences))

    def _unknown_health(self) -> Verdict | None:
        heard_versions = [heard.contract_version for heard in self.heard if heard is not None]
        versions = [version for version in heard_versions if version is not None]
        if versions:
            return Verdict("Unknown", Reason.CONTRACT_MISMATCH, contract_mismatch(min(versions)))
        silent = sum(heard is not None and heard.is_silent for heard in self.heard)
        if not silent:
            return None
        text = (
            f"The state of {self._of_pods(silent)} cannot be read. (Let the operator reach port 8081 of the pods: a "
            "NetworkPolicy may be in the way. The operator's log says what it got.)"
        )
        return Verdict("Unknown", Reason.STATE_UNREADABLE, text)

    def _of_pods(self, count: int) -> str:
        return f"{count} of {len(self.heard)} pod{'s' if len(self.heard) > 1 else ''}"
