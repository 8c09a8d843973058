"""Which changes of mounted ConfigMaps and Secrets are not in force, and why."""

import logging
from collections.abc import Callable, Sequence

from mizzen_api.problems import Problem, join_problems

log = logging.getLogger("mizzen.reloads")


class Reloads:
    """Notes each attempt to take up a change."""

    def __init__(self, count: Callable[..., None]) -> None:
        """Know of no attempt yet.

        Args:
            count: Counts one, with `ok` as a keyword.
        """
        self._count = count
        self._failures: dict[str, tuple[Problem, ...]] = {}

    def note(self, subject: str, problems: Sequence[Problem]) -> bool:
        """Note what an attempt came to, and give whether it succeeded. The same failure again is not logged again.

        Args:
            subject: What the change is for, such as `service 'database'`.
            problems: Why it is not taken up; none if it is in force.
        """
        self._count(ok=not problems)
        if problems:
            if tuple(problems) != self._failures.get(subject):
                told = {"subject": subject, "reason": join_problems(problems)}
                log.error("a change is not taken up, all stays as it was", extra=told)
            self._failures[subject] = tuple(problems)
        else:
            self._failures.pop(subject, None)
            log.info("a change is in force", extra={"subject": subject})
        return not problems

    def has_failed(self, subject: str) -> bool:
        """Tell whether the last attempt for a subject failed."""
        return subject in self._failures

    @property
    def failures(self) -> tuple[Problem, ...]:
        """Why changes are not in force."""
        return tuple(problem for problems in self._failures.values() for problem in problems)
