"""Notices when mounted ConfigMaps and Secrets change. Kubelet swaps a link, so a folder is never seen half changed."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from pathlib import Path
from time import monotonic

from mizzen_api.contract import RuntimeConfig

CHECK_SECONDS = 2.0
"""From one look to the next. Kubelet takes up to two minutes until a change is in the pod: this adds nothing to it."""
AGAIN_SECONDS = 10.0
"""Until a change that could not be taken up is tried again: what it leads to may only have been away."""
AGAIN_AT_MOST_SECONDS = 300.0
"""The longest that this gets: it doubles with each failure, since each may be a failed login that locks an account."""
TAKE_UP_SECONDS = 120.0
"""What one attempt has: one that hangs is not to keep the others from theirs."""
_JITTER = 0.2
"""How much sooner it may be: pods are not to try in step."""

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
        failed: dict[
            TakeUp, tuple[float, float]
        ] = {}  # when it is tried again, and how long it is waited for after that
        while self._folders:
            await asyncio.sleep(CHECK_SECONDS)
            changed = self._changed()
            due = [take_up for take_up, (at, _) in failed.items() if at <= monotonic()]
            for take_up in dict.fromkeys((*changed, *due)):
                _, wait = failed.pop(take_up, (0.0, AGAIN_SECONDS))
                if take_up in changed:
                    wait = AGAIN_SECONDS
                if not await _succeeds(take_up):
                    sooner = random.uniform(1 - _JITTER, 1)  # noqa: S311 - no secret
                    failed[take_up] = monotonic() + wait * sooner, min(2 * wait, AGAIN_AT_MOST_SECONDS)

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
        async with asyncio.timeout(TAKE_UP_SECONDS):
            return await take_up()
    except Exception:
        # Own code may raise what it likes while it is built anew; the next change is to be noticed all the same.
        log.exception("a change could not be taken up")
        return False
