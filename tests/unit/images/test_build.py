"""The command line's messages, and the programs that it calls."""

import os
import stat
import sys
from pathlib import Path

import pytest

from images.base import cache_folder, make_base
from images.build import build, main
from images.builder import Builder, find_builder
from images.process import ImageError, run_step


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!{sys.executable}\n{script}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_an_unknown_name_is_told_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runtme"]) == 1
    known = "operator, runtime, model-server, example-triage, test-services, test-keeper, test-wedge"
    assert f"no image is called runtme; there are {known}" in capsys.readouterr().err


def test_a_machine_without_a_builder_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ImageError, match="apt-get install buildah"):
        build(["runtime"])


def test_buildah_is_preferred_to_docker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    program(tmp_path, "docker", "")
    assert find_builder().program == "docker"
    program(tmp_path, "buildah", "")
    assert find_builder().program == "buildah"


def test_a_base_that_cannot_be_made_here_is_told_with_the_way_around(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("MIZZEN_CACHE", str(tmp_path / "cache"))
    with pytest.raises(ImageError, match=r"apt-get install mmdebstrap, or name one: python -m images\.build --base"):
        make_base(Builder("buildah"))


def test_a_base_that_failed_halfway_is_not_taken_for_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("MIZZEN_CACHE", str(tmp_path / "cache"))
    program(
        tmp_path,
        "mmdebstrap",
        "import pathlib, sys; pathlib.Path(sys.argv[-1]).write_text('half'); sys.exit('no mirror')",
    )
    with pytest.raises(ImageError, match="no mirror"):
        make_base(Builder("buildah"))
    assert list((tmp_path / "cache" / "images").glob("*.tar")) == []


def test_the_cache_follows_the_projects_variable_before_the_systems(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("MIZZEN_CACHE", raising=False)
    assert cache_folder() == tmp_path / "mizzen" / "images"
    monkeypatch.setenv("MIZZEN_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own" / "images"


def test_a_failed_step_shows_the_end_of_its_output_and_where_the_rest_is(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "step.log"
    script = "print('\\n'.join(f'line {n}' for n in range(100))); raise SystemExit('the reason')"
    with pytest.raises(ImageError) as caught:
        run_step("image x", [sys.executable, "-c", script], log=log, env=os.environ, expected=1)
    message = str(caught.value)
    assert "the reason" in message
    assert str(log) in message
    assert "line 5\n" not in message
    assert "line 5\n" in log.read_text()


def test_a_step_says_what_it_does_and_how_long_it_took(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_step("image x", [sys.executable, "-c", ""], log=tmp_path / "log", env=os.environ, expected=7)
    begin, end = capsys.readouterr().err.splitlines()
    assert begin == "image x: about 7 s …"
    assert end.startswith("image x: ")


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="`no-such-program` cannot be started"):
        run_step("image x", ["no-such-program"], log=tmp_path / "log", env=os.environ, expected=1)


def test_buildahs_defaults_give_way_to_what_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_DRIVER", "vfs")
    monkeypatch.delenv("BUILDAH_ISOLATION", raising=False)
    environment = Builder("buildah").environment
    assert environment["STORAGE_DRIVER"] == "vfs"
    assert environment["BUILDAH_ISOLATION"] == "chroot"
