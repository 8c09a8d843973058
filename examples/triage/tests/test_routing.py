"""The agent without a model, with the services of its resource."""

from pathlib import Path

import pytest

from acme_triage.routing import Route, Ticket
from mizzen_runtime.testing.agent_under_test import StartAgent

pytest_plugins = ["mizzen_runtime.testing.fixtures"]

RESOURCE = Path(__file__).parent.parent / "routing.yaml"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.anyio
async def test_a_ticket_goes_where_its_customer_belongs(start_agent: StartAgent) -> None:
    agent = await start_agent(RESOURCE)
    known = await agent.run(Ticket(email="Bob@example.org", text="Where is my order?"))
    unknown = await agent.run(Ticket(email="nobody@example.com", text="Hello"))
    assert known.output == Route(queue="priority", orders=["o-2041", "o-1988"])
    assert unknown.output == Route(queue="general")
