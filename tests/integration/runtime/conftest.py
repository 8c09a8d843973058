from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.runtime.model_server import ModelServer
from tests.integration.runtime.process import Json, RuntimeProcess, Start, config_of


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start runtimes that end with the test."""
    running: list[RuntimeProcess] = []

    def start_one(config: Json | bytes, *arguments: str, **environment: str) -> RuntimeProcess:
        folder = tmp_path / str(len(running))
        folder.mkdir()
        running.append(RuntimeProcess(folder, config, *arguments, **environment))
        return running[-1]

    yield start_one
    for runtime in running:
        runtime.close()
    for runtime in running:
        runtime.assert_no_stray_errors()


@pytest.fixture
def second_server() -> Iterator[ModelServer]:
    server = ModelServer()
    yield server
    server.close()


@pytest.fixture(scope="module")
def shared_runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RuntimeProcess]:
    """One runtime with pydantic-ai's test model, for tests that leave no trace in it."""
    runtime = RuntimeProcess(
        tmp_path_factory.mktemp("runtime"), config_of(description="Sorts tickets"), "--max-body-bytes", "2000"
    )
    yield runtime
    runtime.close()
    runtime.assert_no_stray_errors()
