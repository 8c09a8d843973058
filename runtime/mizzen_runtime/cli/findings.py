"""What is wrong, and where in the files."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from mizzen_api.problems import Problem

Level = Literal["error", "warning", "note"]
"""error: the agent does not run like this. warning: it does only if a cluster has what these files lack. note: neither,
but worth a line."""


@dataclass(frozen=True, order=True)
class Place:
    """A line of a file."""

    file: str
    """As it was named on the command line, or below what was named there; `-` is standard input."""
    line: int
    """From 1 on; 0 for the file as a whole."""

    def __str__(self) -> str:
        """Give it as compilers do."""
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True)
class Finding:
    """One thing to be told about the files."""

    level: Level
    place: Place | None
    """None where it stands in no file."""
    problem: Problem

    def __str__(self) -> str:
        """Give it as one line: place, level unless it is an error, field, message, remedy."""
        place = f"{self.place}: " if self.place else ""
        level = "" if self.level == "error" else f"{self.level}: "
        return f"{place}{level}{self.problem}"

    @property
    def entry(self) -> dict[str, str | int]:
        """What a script is told."""
        place = {"file": self.place.file, "line": self.place.line} if self.place else {}
        return {"level": self.level, **place, **self.problem.model_dump()}


def finding(level: Level, place: Place | None, field: str, message: str, remedy: str) -> Finding:
    """Make a finding of its parts."""
    return Finding(level, place, Problem(field=field, message=message, remedy=remedy))


def errors_among(findings: Iterable[Finding]) -> bool:
    """Tell whether an error is among them."""
    return any(each.level == "error" for each in findings)


def strict(findings: Iterable[Finding]) -> list[Finding]:
    """Give the findings with errors in the place of warnings."""
    return [replace(each, level="error") if each.level == "warning" else each for each in findings]


def sorted_by_place(findings: Iterable[Finding]) -> list[Finding]:
    """Give each finding once, in the order of the files; those in no file come last."""
    nowhere = Place("\U0010ffff", 0)
    return sorted(dict.fromkeys(findings), key=lambda each: each.place or nowhere)
