"""Servers that agents of several folders' tests ask."""

from collections.abc import Iterator

import pytest

from tests.integration.runtime.mcp_server import McpServer
from tests.integration.runtime.model_server import ModelServer


@pytest.fixture
def model_server() -> Iterator[ModelServer]:
    server = ModelServer()
    yield server
    server.close()


@pytest.fixture
def mcp_server() -> Iterator[McpServer]:
    with McpServer() as server:
        yield server
