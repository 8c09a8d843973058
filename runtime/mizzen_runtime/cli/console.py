"""What people see: plain lines, and colours on a terminal."""

import os
from collections.abc import Iterable
from typing import TextIO

from mizzen_runtime.cli.findings import Finding, Level, sorted_by_place

_COLOURS: dict[Level, str] = {"error": "31", "warning": "33", "note": "2"}
_BOLD = "1"


class Console:
    """Writes to a stream."""

    def __init__(self, stream: TextIO) -> None:
        """Use colours if the stream is a terminal, and NO_COLOR does not say otherwise."""
        self._stream = stream
        self._colours = stream.isatty() and not os.environ.get("NO_COLOR")

    def say(self, text: str = "") -> None:
        """Write a line."""
        print(text, file=self._stream, flush=True)

    def tell(self, findings: Iterable[Finding]) -> None:
        """Write findings, a line each, in the order of the files."""
        for each in sorted_by_place(findings):
            text = str(each)
            if self._colours:
                head, _, rest = text.partition(str(each.problem))
                text = f"{_coloured(head, _COLOURS[each.level])}{each.problem}{rest}"
            self.say(text)

    def bold(self, text: str) -> str:
        """Give a text that stands out on a terminal."""
        return _coloured(text, _BOLD) if self._colours else text


def _coloured(text: str, colour: str) -> str:
    return f"\x1b[{colour}m{text}\x1b[0m"
