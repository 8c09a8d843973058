"""Notices when mounted ConfigMaps and Secrets change. Kubelet swaps a link, so a folder is never seen half changed."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from pathlib import Path

from mizzen_api.contract import RuntimeConfig

CHECK_SECONDS = 2.0
"""From one look to the next. Kubelet takes up to two minutes until a change is in the pod: this adds nothing to it."""
AGAIN_SECONDS = 10.0
"""Until a change that could not be taken up is tried again: what it leads to may only have been away."""

log = logging.getLogger("mizzen.reloads")

State = frozenset[tuple[str, int, int, int]]
TakeUp = Callable[[], Awaitable[bool]]
"""Takes up a change; gives whether that succeeded."""


def folders_of(config: RuntimeConfig) -> Iterator[Path]:
    """Give all folders whose files may change while the process lives."""
    yield from folders_of_agent(config)
    yield from (Path(source.path) for service in config.services or () for source in service.sources)


def folders_of_agent(config: RuntimeConfig) -> Iterator[Path]:
    """Give those of them that the agent itself is built from: its models' keys and authorities, its secrets."""
    models = (source for model in config.models for source in (model.api_key, model.ca_bundle))
    secrets = (secret.source for secret in config.secrets or ())
    yield from (Path(source.path).parent for source in (*models, *secrets) if source is not None)


def state_of(folder: Path) -> State:
    """Give what tells one state of a mounted folder from another, without reading its files."""
    if not folder.is_dir():
        return frozenset()
    return frozenset(filter(None, map(_state_of_file, folder.iterdir())))


def _state_of_file(path: Path) -> tuple[str, int, int, int] | None:
    if path.name.startswith(".."):  # kubelet's own
        return None
    try:
        found = path.stat()
    except OSError:  # it has gone while the folder was read
        return None
    return path.name, found.st_ino, found.st_mtime_ns, found.st_size


class MountedFiles:
    """Looks at folders again and again, and has their changes taken up."""

    def __init__(self, watched: Iterable[tuple[Path, TakeUp]], seen: Mapping[Path, State]) -> None:
        """Watch nothing yet.

        Args:
            watched: Folders, each with what takes up its changes; the same for folders whose changes belong together.
            seen: How each folder was before anything was read from it.
        """
        self._folders: Mapping[Path, TakeUp] = dict(watched)
        self._seen = dict(seen)

    async def watch(self) -> None:
        """Take up changes for as long as the process lives."""
        again_at: dict[TakeUp, float] = {}
        clock = asyncio.get_running_loop().time
        while self._folders:
            await asyncio.sleep(CHECK_SECONDS)
            due = {take_up for take_up, at in again_at.items() if at <= clock()}
            for take_up in dict.fromkeys((*self._changed(), *due)):
                again_at.pop(take_up, None)
                if not await _succeeds(take_up):
                    again_at[take_up] = clock() + AGAIN_SECONDS

    def _changed(self) -> list[TakeUp]:
        changed = []
        for folder, take_up in self._folders.items():
            try:
                state = state_of(folder)
            except OSError:  # too many open files, say: it is looked at again
                log.exception("a mounted folder could not be read", extra={"folder": str(folder)})
                continue
            if state != self._seen[folder]:
                self._seen[folder] = state
                changed.append(take_up)
        return changed


async def _succeeds(take_up: TakeUp) -> bool:
    try:
        return await take_up()
    except Exception:
        # Own code may raise what it likes while it is built anew; the next change is to be noticed all the same.
        log.exception("a change could not be taken up")
        return False
