"""Takes up what the operator changes while a revision runs: the level of the log."""

from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from mizzen_api.contract import LIVE_DIRECTORY, LIVE_FILE, LiveSettings
from mizzen_api.problems import Problem
from mizzen_runtime import log
from mizzen_runtime.mounted_files import TakeUp
from mizzen_runtime.reloads import Reloads

DEFAULT_LIVE_SETTINGS = Path(LIVE_DIRECTORY)
_SUBJECT = "the level of the log"


class LiveSettingsFolder:
    """The folder that holds the `LiveSettings`, if there are any."""

    def __init__(self, folder: Path, reloads: Reloads) -> None:
        """Take up what it holds now.

        Args:
            folder: Where it is mounted; it may be empty, or not be there.
            reloads: Where attempts to take up changes are noted.
        """
        self._file = folder / LIVE_FILE
        self._reloads = reloads
        if problems := self._apply():
            self._reloads.note(_SUBJECT, problems)

    def watched(self) -> Iterator[tuple[Path, TakeUp]]:
        """Give the folder, with what takes up its changes."""
        yield self._file.parent, self.take_up

    async def take_up(self) -> bool:
        """Take up what it holds now.

        Returns:
            Whether that is in force.
        """
        return self._reloads.note(_SUBJECT, self._apply())

    def _apply(self) -> tuple[Problem, ...]:
        try:
            settings = LiveSettings.model_validate_json(self._file.read_bytes())
        except FileNotFoundError:
            settings = LiveSettings()
        except (OSError, ValidationError) as error:
            message = f"{self._file} cannot be used: {type(error).__name__}"
            remedy = "leave the ConfigMap NAME-live to the operator, of the same release as the runtime's image"
            return (Problem(field="spec.logging", message=message, remedy=remedy),)
        log.set_level(settings.log_level)
        return ()
