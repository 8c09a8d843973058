"""What an image's tag follows."""

import os
from pathlib import Path

import pytest

from images.base import base_reference
from images.content import IMAGES, REPOSITORY, Image, reference_of

BASE = "localhost/base:1"
INPUTS = ("lock.txt", "source")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "source" / "package").mkdir(parents=True)
    for name in ("Containerfile", "lock.txt", "source/package/a.py", "other.txt"):
        (tmp_path / name).write_text(name)
    return tmp_path


def tag(checkout: Path, base: str = BASE) -> str:
    return Image("x", "Containerfile", INPUTS, seconds=1).reference(base, checkout)


@pytest.mark.parametrize("changed", ["Containerfile", "lock.txt", "source/package/a.py", "source/package/new.py"])
def test_whatever_goes_into_an_image_changes_its_tag(checkout: Path, changed: str) -> None:
    before = tag(checkout)
    (checkout / changed).write_text("changed")
    assert tag(checkout) != before


def test_another_base_changes_the_tag(checkout: Path) -> None:
    assert tag(checkout) != tag(checkout, "localhost/base:2")


def test_a_file_that_moves_changes_the_tag(checkout: Path) -> None:
    before = tag(checkout)
    (checkout / "source" / "package" / "a.py").rename(checkout / "source" / "package" / "b.py")
    assert tag(checkout) != before


def test_what_does_not_go_in_leaves_the_tag(checkout: Path) -> None:
    before = tag(checkout)
    (checkout / "other.txt").write_text("changed")
    (checkout / "source" / "__pycache__").mkdir()
    (checkout / "source" / "__pycache__" / "a.pyc").write_bytes(b"\0")
    os.utime(checkout / "lock.txt", (1, 1))
    assert tag(checkout) == before


def test_the_same_bytes_in_other_files_are_another_image(checkout: Path) -> None:
    (checkout / "lock.txt").write_text("ab")
    (checkout / "source" / "package" / "a.py").write_text("c")
    before = tag(checkout)
    (checkout / "lock.txt").write_text("a")
    (checkout / "source" / "package" / "a.py").write_text("bc")
    assert tag(checkout) != before


@pytest.mark.parametrize("image", IMAGES.values(), ids=lambda image: image.name)
def test_everything_that_a_containerfile_copies_counts(image: Image) -> None:
    for line in (REPOSITORY / image.containerfile).read_text().splitlines():
        if line.startswith("COPY ") and "--from=" not in line:
            for name in line.split()[1:-1]:
                source = str(Path(image.context) / name)
                assert source in image.inputs, f"{image.containerfile} copies {source}, which its tag does not follow"


def test_what_an_image_is_built_on_goes_into_its_tag() -> None:
    assert IMAGES["example-triage"].built_on == "runtime"
    runtime = reference_of("runtime", BASE)
    assert reference_of("example-triage", BASE) == IMAGES["example-triage"].reference(runtime)
    assert reference_of("example-triage", BASE) != reference_of("example-triage", "localhost/base:2")


def test_the_operators_code_does_not_go_into_the_runtime_nor_the_reverse() -> None:
    assert "operator" not in IMAGES["runtime"].inputs
    assert "runtime" not in IMAGES["operator"].inputs


def test_the_base_made_here_is_named_by_how_it_is_made() -> None:
    name, _, hash_of_recipe = base_reference().partition(":")
    assert name == "localhost/mizzen-base"
    assert len(hash_of_recipe) == 12
