import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from mizzen_api.contract import LIVE_FILE, LiveSettings
from mizzen_runtime import log
from mizzen_runtime.live_settings import LiveSettingsFolder
from mizzen_runtime.reloads import Reloads

pytestmark = pytest.mark.anyio
ours = logging.getLogger("mizzen")


@pytest.fixture(autouse=True)
def restored_level() -> Iterator[None]:
    before = (logging.getLogger().level, ours.level)
    yield
    log.set_level("info")
    logging.getLogger().setLevel(before[0])
    ours.setLevel(before[1])


@pytest.fixture
def reloads() -> Reloads:
    def count(*, ok: bool) -> None:
        """Nobody looks at it here."""

    return Reloads(count)


async def test_the_level_is_taken_up_at_start_and_whenever_it_changes(tmp_path: Path, reloads: Reloads) -> None:
    file = tmp_path / LIVE_FILE
    file.write_text(LiveSettings(log_level="warning").model_dump_json())
    folder = LiveSettingsFolder(tmp_path, reloads)
    assert ours.level == logging.WARNING

    ((watched, take_up),) = folder.watched()
    file.write_text(LiveSettings(log_level="debug").model_dump_json())

    assert watched == tmp_path
    assert await take_up()
    assert ours.level == logging.DEBUG
    file.unlink()
    assert await take_up()
    assert ours.level == logging.INFO
    assert reloads.failures == ()


async def test_a_folder_that_is_not_there_means_what_nobody_changed(tmp_path: Path, reloads: Reloads) -> None:
    LiveSettingsFolder(tmp_path / "none", reloads)

    assert (ours.level, reloads.failures) == (logging.INFO, ())


@pytest.mark.parametrize("content", ["", '{"logLevel": "verbose"}', '{"contractVersion": 2}'])
async def test_what_cannot_be_used_changes_nothing_and_is_told(tmp_path: Path, reloads: Reloads, content: str) -> None:
    file = tmp_path / LIVE_FILE
    file.write_text(LiveSettings(log_level="debug").model_dump_json())
    folder = LiveSettingsFolder(tmp_path, reloads)

    file.write_text(content)

    assert not await folder.take_up()
    assert ours.level == logging.DEBUG
    (problem,) = reloads.failures
    assert problem.field == "spec.logging"


async def test_what_cannot_be_used_at_start_is_told_too(tmp_path: Path, reloads: Reloads) -> None:
    (tmp_path / LIVE_FILE).write_text("[]")

    LiveSettingsFolder(tmp_path, reloads)

    assert len(reloads.failures) == 1
