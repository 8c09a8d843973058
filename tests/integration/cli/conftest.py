from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.cli.command import MizzenRun

Run = Callable[..., MizzenRun]
"""Starts `mizzen run`: its arguments, and environment."""


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Start commands in the test's folder, that end with the test."""
    running: list[MizzenRun] = []

    def start(*arguments: str, address: str | None = None, **environment: str) -> MizzenRun:
        running.append(MizzenRun(tmp_path, *arguments, address=address, environment=environment))
        return running[-1]

    yield start
    for each in running:
        each.close()
