"""Finds and reads what `-f` names: files, folders, and standard input."""

import contextlib
import os
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
    _read_once: dict[str, bytes] = field(default_factory=dict, repr=False)
    """What standard input and pipes held."""

    def wait_for_pipes(self) -> None:
        """Read what can be read only once, and may take its time: for now an interrupt still ends the process."""
        for name in self.names:
            if name == STANDARD_INPUT or _is_pipe(Path(name)):
                with contextlib.suppress(OSError):  # told when it is read
                    self._content_of(name)

    def read(self) -> tuple[Objects, list[Finding]]:
        """Read everything as it is now, and tell all that is wrong with it."""
        documents: list[Document] = []
        findings: list[Finding] = []
        # Each once: one may be named, and be in a folder that is named too.
        files = {Path(file).resolve(): file for name in self.names for file in self._files_of(name, findings)}
        for file in files.values():
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
        if name == STANDARD_INPUT or name in self._read_once or path.is_file() or _is_pipe(path):
            yield name
        elif path.is_dir():
            files = sorted(_files_below(path))
            if not files:
                message, remedy = "the folder holds no YAML and no JSON", "name another one"
                findings.append(finding("error", Place(name, 0), "-f", message, remedy))
            yield from map(str, files)
        else:
            remedy = "correct the name; `-` is standard input"
            findings.append(finding("error", Place(name, 0), "-f", "there is no such file or folder", remedy))

    def _text_of(self, file: str, findings: list[Finding]) -> str | None:
        try:
            return self._content_of(file).decode()
        except OSError as error:
            fault, remedy = f"cannot be read: {error.strerror}", "see to it that it can be read"
        except UnicodeDecodeError:
            fault, remedy = "is no text in UTF-8", "write it as UTF-8"
        findings.append(finding("error", Place(file, 0), "-f", fault, remedy))
        return None

    def _content_of(self, file: str) -> bytes:
        if file in self._read_once:
            return self._read_once[file]
        content = sys.stdin.buffer.read() if file == STANDARD_INPUT else Path(file).read_bytes()
        if file == STANDARD_INPUT or _is_pipe(Path(file)):
            self._read_once[file] = content
        return content


def _is_pipe(path: Path) -> bool:
    """Tell whether it is a pipe, such as the shell's `<(helm template my-chart)`."""
    return path.is_fifo()


def _files_below(folder: Path) -> Iterator[Path]:
    """Find the files of a folder. Hidden ones are tools' own, such as `.venv` and `.git`; what vanishes is left out."""
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            path = Path(place, name)
            if path.suffix in _ENDINGS and not name.startswith(".") and os.path.isfile(path):  # noqa: PTH113 - never raises
                yield path


def state_of(path: Path) -> FileState | None:
    """Tell how a file is; None if it is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
