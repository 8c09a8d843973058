"""Finds and reads what `-f` names: files, folders, and standard input."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mizzen_runtime.cli.documents import Document, read_documents
from mizzen_runtime.cli.findings import Finding, Place, finding
from mizzen_runtime.cli.objects import Objects, read_objects

STANDARD_INPUT = "-"
_ENDINGS = frozenset({".yaml", ".yml", ".json"})

FileState = tuple[int, int, int]
"""Changes when a file is written, or when another one takes its place, as many editors do it."""


@dataclass
class Inputs:
    """What was named on the command line."""

    names: Sequence[str]
    _standard_input: str | None = field(default=None, repr=False)

    def read(self) -> tuple[Objects, list[Finding]]:
        """Read everything as it is now, and tell all that is wrong with it."""
        documents: list[Document] = []
        findings: list[Finding] = []
        for name in self.names:
            for file in self._files_of(name, findings):
                text = self._text_of(file, findings)
                if text is not None:
                    found, wrong = read_documents(file, text)
                    documents += found
                    findings += wrong
        objects, wrong = read_objects(documents)
        return objects, [*findings, *wrong]

    def states(self) -> dict[str, FileState]:
        """Tell how each file is now, without reading it; one that is not there is left out."""
        found: dict[str, FileState] = {}
        for name in self.names:
            for file in self._files_of(name, []):
                state = state_of(Path(file))
                if state is not None:
                    found[file] = state
        return found

    def _files_of(self, name: str, findings: list[Finding]) -> Iterator[str]:
        path = Path(name)
        if name == STANDARD_INPUT or path.is_file():
            yield name
        elif path.is_dir():
            files = sorted(each for each in path.rglob("*") if each.suffix in _ENDINGS and each.is_file())
            if not files:
                message, remedy = "the folder holds no YAML and no JSON", "name another one"
                findings.append(finding("error", Place(name, 0), "-f", message, remedy))
            yield from map(str, files)
        else:
            remedy = "correct the name; `-` is standard input"
            findings.append(finding("error", Place(name, 0), "-f", "there is no such file or folder", remedy))

    def _text_of(self, file: str, findings: list[Finding]) -> str | None:
        try:
            return self._standard_input_text() if file == STANDARD_INPUT else Path(file).read_text(encoding="utf-8")
        except OSError as error:
            fault, remedy = f"cannot be read: {error.strerror}", "see to it that it can be read"
        except UnicodeDecodeError:
            fault, remedy = "is no text in UTF-8", "write it as UTF-8"
        findings.append(finding("error", Place(file, 0), "-f", fault, remedy))
        return None

    def _standard_input_text(self) -> str:
        if self._standard_input is None:
            self._standard_input = sys.stdin.read()
        return self._standard_input


def state_of(path: Path) -> FileState | None:
    """Tell how a file is; None if it is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
