from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.cli.command import MizzenRun
from tests.integration.runtime.mcp_server import McpServer
from tests.integration.runtime.model_server import ModelServer

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


@pytest.fixture
def model_server() -> Iterator[ModelServer]:
    server = ModelServer()
    yield server
    server.close()


@pytest.fixture
def mcp_server() -> Iterator[McpServer]:
    with McpServer() as server:
        yield server
