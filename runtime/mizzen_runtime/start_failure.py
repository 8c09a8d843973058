"""A failed start, told to people on the log and to the operator in the termination message."""

import logging
from collections.abc import Iterable
from pathlib import Path

from mizzen_api.contract import TERMINATION_LOG, FailureKind, fit_start_failure
from mizzen_api.problems import Problem

logger = logging.getLogger("mizzen.start")


def report_start_failure(
    problems: Iterable[Problem], termination_log: Path | None, *, kind: FailureKind = "Configuration"
) -> None:
    """Log each problem and leave them all as the process's last words.

    Args:
        problems: Why the process does not start.
        termination_log: Where the last words go; where kubelet reads them without one, if that file is there.
        kind: Who can mend it.
    """
    problems = tuple(problems)
    for problem in problems:
        logger.error("%s: %s", problem.field, problem.message, extra={"field": problem.field, "remedy": problem.remedy})
    target = termination_log or Path(TERMINATION_LOG)
    if termination_log is None and not target.exists():
        return  # not in a pod: the log has it all
    try:
        target.write_text(fit_start_failure(problems, kind=kind), encoding="utf-8")
    except OSError as error:
        logger.error("the termination message cannot be written to %s: %s", target, error.strerror)  # noqa: TRY400 - its place says nothing
