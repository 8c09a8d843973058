from pathlib import Path

from devcluster.kernel import WANTED_INSTANCES, raise_inotify_limit


def test_a_low_limit_is_raised_and_told(tmp_path: Path) -> None:
    limit, said = tmp_path / "limit", list[str]()
    limit.write_text("128\n")
    raise_inotify_limit(said.append, limit)
    assert int(limit.read_text()) == WANTED_INSTANCES
    assert said == ["  sysctl fs.inotify.max_user_instances=1024 (it was 128)"]


def test_a_high_limit_is_left_alone(tmp_path: Path) -> None:
    limit, said = tmp_path / "limit", list[str]()
    limit.write_text("8192\n")
    raise_inotify_limit(said.append, limit)
    assert (limit.read_text(), said) == ("8192\n", [])


def test_a_limit_that_cannot_be_raised_is_told_with_the_command() -> None:
    said = list[str]()
    raise_inotify_limit(said.append, Path("/proc/sys/kernel/cap_last_cap"))  # about 40, and nobody may write it
    (line,) = said
    assert "inotify instances are allowed, too few for several clusters; sysctl fs.inotify.max_user_instances" in line
