"""Which of a machine's pip settings reach a build, and that they stay out of the image."""

import configparser
from pathlib import Path

import pytest

from images.content import IMAGES, REPOSITORY
from images.pip_settings import CA_IN_BUILD, write_secrets


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    (home / ".config" / "pip").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    return home


def settings(folder: Path, environment: dict[str, str]) -> dict[str, str]:
    parser = configparser.RawConfigParser()
    parser.read(write_secrets(folder, environment)["pip"])
    return dict(parser.items("global"))


def test_a_private_index_of_the_users_pip_conf_is_carried(home: Path, tmp_path: Path) -> None:
    (home / ".config" / "pip" / "pip.conf").write_text(
        "[global]\nindex-url = https://user:key@index.example/packages\nfind-links = /opt/wheels\n"
    )
    carried = settings(tmp_path, {})
    assert carried["index-url"] == "https://user:key@index.example/packages"
    assert "find-links" not in carried, "a path of this machine names nothing inside a build"


def test_a_variable_wins_over_the_file(home: Path, tmp_path: Path) -> None:
    (home / ".config" / "pip" / "pip.conf").write_text("[global]\nindex-url = https://file.example/packages\n")
    carried = settings(tmp_path, {"PIP_INDEX_URL": "https://variable.example/packages"})
    assert carried["index-url"] == "https://variable.example/packages"


def test_a_list_over_several_lines_stays_a_list(home: Path, tmp_path: Path) -> None:
    (home / ".config" / "pip" / "pip.conf").write_text(
        "[global]\nextra-index-url =\n    https://a.example\n    https://b.example\n"
    )
    assert settings(tmp_path, {})["extra-index-url"] == "https://a.example https://b.example"


def test_the_machines_certificates_are_mounted_and_named(home: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "own-ca.pem"
    bundle.write_text("certificates")
    secrets = write_secrets(tmp_path, {"PIP_CERT": str(bundle)})
    assert secrets["ca"] == bundle
    assert f"cert = {CA_IN_BUILD}" in secrets["pip"].read_text()


def test_the_settings_are_readable_by_their_owner_only(home: Path, tmp_path: Path) -> None:
    assert write_secrets(tmp_path, {})["pip"].stat().st_mode & 0o077 == 0


def containerfile(name: str) -> str:
    return (REPOSITORY / IMAGES[name].containerfile).read_text().replace("\\\n", " ")


@pytest.mark.parametrize("name", [name for name in IMAGES if "pip install" in containerfile(name)])
def test_a_containerfile_mounts_the_settings_in_each_step_that_downloads(name: str) -> None:
    text = containerfile(name)
    steps = [line for line in text.splitlines() if line.startswith("RUN ")]
    downloads = [step for step in steps if "pip install" in step and "--no-index" not in step]
    assert downloads
    for line in downloads:
        assert "--mount=type=secret,id=pip,target=/run/secrets/pip" in line
        assert f"--mount=type=secret,id=ca,target={CA_IN_BUILD}" in line
        assert "PIP_CONFIG_FILE=/run/secrets/pip" in line
