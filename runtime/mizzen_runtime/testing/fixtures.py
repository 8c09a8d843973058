"""Fixtures for tests of services and of agents: `pytest_plugins = ["mizzen_runtime.testing.fixtures"]`.

An entry point would spare that line, and load this, with pydantic-ai, in every run of pytest on the machine.

The fixtures are coroutines, run by anyio's plugin, which comes with the runtime: mark the tests that use them
`pytest.mark.anyio`.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from pydantic_ai.models import Model

from mizzen_runtime.container import DependencyContainer
from mizzen_runtime.testing.agent_under_test import AgentUnderTest, Source, StandIns, StartAgent, agent_under_test
from mizzen_runtime.testing.doubles import DOUBLES, NAMES


@pytest.fixture
async def service_container() -> AsyncIterator[DependencyContainer]:
    """A container with the test doubles, for the test to add services of its own before it asks for the first.

    Each double is found by its interface, by its name (`database`, `cache`, `external_api`), and by its own class, for
    its `get_call_log()`: `await service_container.get_service(TestDatabaseService)`.
    """
    container = DependencyContainer()
    for interface, double in DOUBLES.items():
        container.register_singleton(double, double)
        container.register_singleton(interface, _the_same(double), name=NAMES[interface])
    yield container
    await container.close()


@pytest.fixture
async def start_agent() -> AsyncIterator[StartAgent]:
    """Start agents that end with the test; see `StartAgent`."""
    async with AsyncExitStack() as running:

        async def start(
            source: Source, *, model: Model | None = None, services: StandIns | None = None
        ) -> AgentUnderTest:
            return await running.enter_async_context(agent_under_test(source, model=model, services=services))

        yield start


def _the_same(double: type) -> Any:
    def give(service: object) -> object:
        return service

    give.__annotations__ |= {"service": double, "return": double}
    return give
