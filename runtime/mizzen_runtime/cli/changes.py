"""Notices changed files by looking at them again and again: this works on every file system, and with every editor."""

from collections.abc import Iterable
from pathlib import Path

from mizzen_runtime.cli.files import FileState, Inputs, state_of

States = dict[str, FileState]


class Changes:
    """What has changed since it was taken up last."""

    def __init__(self, inputs: Inputs) -> None:
        """Begin with the files as they are now: to be made before they are read."""
        self._inputs = inputs
        self._code: tuple[str, ...] = ()
        self._before = self._now()
        self._taken_up = self._before

    def watch_code(self, code: Iterable[str]) -> None:
        """Watch own code too: as it was when it was taken up last, and where it was not watched before, as it is now.

        Args:
            code: Files and folders.
        """
        self._code = tuple(code)
        current = self._code_states()
        known = self._taken_up[1]
        self._before = (self._before[0], current)
        self._taken_up = (self._taken_up[0], {path: known.get(path, state) for path, state in current.items()})

    def pending(self) -> bool:
        """Tell whether there are changes that `settled` is still to tell."""
        return self._now() != self._taken_up

    def settled(self) -> tuple[bool, bool] | None:
        """Tell whether files, and whether own code has changed; None if neither has, or one is still being written."""
        now = self._now()
        still = now == self._before
        self._before = now
        if not still or now == self._taken_up:
            return None
        changed = (now[0] != self._taken_up[0], now[1] != self._taken_up[1])
        self._taken_up = now
        return changed

    def _now(self) -> tuple[States, States]:
        return self._inputs.states(), self._code_states()

    def _code_states(self) -> States:
        paths = (path for name in self._code for path in _modules_of(Path(name)))
        return {str(path): state for path in paths if (state := state_of(path)) is not None}


def _modules_of(path: Path) -> Iterable[Path]:
    return path.rglob("*.py") if path.is_dir() else [path]
