"""What no tracked file may hold."""

import re
import subprocess
from pathlib import Path

import pytest

from manifests.chart_values import CHECKOUT

PACKAGE_REGISTRIES = re.compile(
    r"pypi\.org|pythonhosted\.org|(proxy|sum)\.golang\.org|registry\.npmjs|^\s*(--)?(extra-)?index-url\s*[= ]\s*http",
    re.MULTILINE,
)
IMAGE_REGISTRIES = re.compile(r"\b(docker\.io|ghcr\.io|quay\.io|gcr\.io|registry\.k8s\.io|mcr\.microsoft\.com)\b")
LATEST = re.compile(r"(image|FROM|tag)\b[^\n]*:\s?latest\b")
THIS_FILE = Path(__file__).resolve()
PYTHON_FILES = "pythonhosted"
"""Part of a host's name, so that not even the guard spells an address."""


def tracked_texts() -> dict[str, str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=CHECKOUT, check=True, capture_output=True, text=True)
    texts = {}
    for name in listed.stdout.split("\0"):
        path = CHECKOUT / name
        if name and path.is_file() and path != THIS_FILE:
            texts[name] = path.read_text(errors="replace")
    return texts


def holding(pattern: re.Pattern[str], texts: dict[str, str]) -> list[str]:
    return [f"{name}: {found[0]}" for name, text in texts.items() if (found := pattern.search(text))]


def test_no_file_names_a_package_registry() -> None:
    assert holding(PACKAGE_REGISTRIES, tracked_texts()) == []


def test_no_file_that_is_shipped_names_an_image_registry() -> None:
    shipped = {name: text for name, text in tracked_texts().items() if not name.startswith("tests/")}
    assert holding(IMAGE_REGISTRIES, shipped) == []


def test_no_image_is_named_by_the_moving_tag() -> None:
    assert holding(LATEST, tracked_texts()) == []


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (PACKAGE_REGISTRIES, "--index-url https://example.org/simple"),
        (PACKAGE_REGISTRIES, f"url = files.{PYTHON_FILES}.org/x"),
        (IMAGE_REGISTRIES, "FROM docker.io/library/python:3.13"),
        (LATEST, "image: acme/agent:latest"),
        (LATEST, "tag: latest"),
    ],
)
def test_the_patterns_find_what_they_look_for(pattern: re.Pattern[str], text: str) -> None:
    assert holding(pattern, {"file": text})
