"""Changes of mounted files: noticed, taken up, tried again."""

import asyncio
import errno
from itertools import pairwise
from pathlib import Path

import pytest

from mizzen_runtime import mounted_files
from mizzen_runtime.mounted_files import MountedFiles, State, state_of

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mounted_files, "CHECK_SECONDS", 0.01)
    monkeypatch.setattr(mounted_files, "AGAIN_SECONDS", 0.01)


async def test_a_change_from_before_the_watch_began_is_noticed(tmp_path: Path) -> None:
    seen = {tmp_path: state_of(tmp_path)}
    (tmp_path / "token").write_text("new")
    taken_up = asyncio.Event()

    async def take_up() -> bool:
        taken_up.set()
        return True

    watching = asyncio.create_task(MountedFiles([(tmp_path, take_up)], seen).watch())
    await asyncio.wait_for(taken_up.wait(), 20)
    watching.cancel()


async def test_what_raises_is_tried_again_and_ends_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    seen = {tmp_path: state_of(tmp_path)}
    (tmp_path / "token").write_text("new")
    attempts: list[str] = []
    done = asyncio.Event()

    async def take_up() -> bool:
        attempts.append("tried")
        if len(attempts) == 1:
            raise RuntimeError("own code")
        done.set()
        return True

    watching = asyncio.create_task(MountedFiles([(tmp_path, take_up)], seen).watch())
    await asyncio.wait_for(done.wait(), 20)
    watching.cancel()
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == [
        "a change could not be taken up"
    ]


async def test_a_folder_that_cannot_be_read_for_a_while_is_read_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = {tmp_path: state_of(tmp_path)}
    (tmp_path / "token").write_text("new")
    taken_up = asyncio.Event()
    faults = [OSError(errno.EMFILE, "too many open files")]

    def state_or_fault(folder: Path) -> State:
        if faults:
            raise faults.pop()
        return state_of(folder)

    async def take_up() -> bool:
        taken_up.set()
        return True

    monkeypatch.setattr(mounted_files, "state_of", state_or_fault)
    watching = asyncio.create_task(MountedFiles([(tmp_path, take_up)], seen).watch())
    await asyncio.wait_for(taken_up.wait(), 20)
    watching.cancel()


async def test_folders_that_belong_together_are_taken_up_once(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("config", "secret")]
    for folder in folders:
        folder.mkdir()
    seen = {folder: state_of(folder) for folder in folders}
    for folder in folders:
        (folder / "field").write_text("new")
    attempts: list[str] = []
    done = asyncio.Event()

    async def take_up() -> bool:
        attempts.append("tried")
        done.set()
        return True

    watching = asyncio.create_task(MountedFiles([(folder, take_up) for folder in folders], seen).watch())
    await asyncio.wait_for(done.wait(), 20)
    (tmp_path / "config" / "field").write_text("newer")
    done.clear()
    await asyncio.wait_for(done.wait(), 20)
    watching.cancel()
    assert len(attempts) == 2


async def test_what_fails_is_tried_again_ever_more_seldom_until_a_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mounted_files, "CHECK_SECONDS", 0.0)
    monkeypatch.setattr(mounted_files, "AGAIN_SECONDS", 10.0)
    monkeypatch.setattr(mounted_files, "_JITTER", 0.0)
    seconds = 0
    attempts: list[int] = []
    done = asyncio.Event()

    def state_a_second_later(folder: Path) -> State:
        nonlocal seconds
        seconds += 1
        return frozenset({("token", 0, 0, 2 if len(attempts) >= 8 else 1)})

    async def take_up() -> bool:
        attempts.append(seconds)
        if len(attempts) == 10:
            done.set()
        return False

    monkeypatch.setattr(mounted_files, "state_of", state_a_second_later)
    monkeypatch.setattr(mounted_files, "monotonic", lambda: float(seconds))
    watching = asyncio.create_task(MountedFiles([(tmp_path, take_up)], {tmp_path: frozenset()}).watch())
    await asyncio.wait_for(done.wait(), 20)
    watching.cancel()
    waits = [later - earlier for earlier, later in pairwise(attempts)]
    assert waits == [10, 20, 40, 80, 160, 300, 300, 1, 10]


async def test_one_that_hangs_keeps_no_other_from_being_taken_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mounted_files, "TAKE_UP_SECONDS", 0.05)
    folders = [tmp_path / name for name in ("config", "secret")]
    for folder in folders:
        folder.mkdir()
        (folder / "field").write_text("new")
    done = asyncio.Event()

    async def hang() -> bool:
        return await asyncio.Future()

    async def take_up() -> bool:
        done.set()
        return True

    watched = zip(folders, (hang, take_up), strict=True)
    watching = asyncio.create_task(MountedFiles(watched, dict.fromkeys(folders, frozenset())).watch())
    await asyncio.wait_for(done.wait(), 20)
    watching.cancel()
