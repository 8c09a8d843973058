"""The agent without a model: a function plays it, and the tools are the real ones."""

from pathlib import Path

import pytest
from pydantic import ValidationError
from pydantic_ai import ModelMessage, ModelResponse, RetryPromptPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from acme_triage.agents import Triage
from acme_triage.customers import Customer, CustomerDirectory, FileDirectory, FileSettings, Order
from mizzen_runtime.testing.agent_under_test import StartAgent

pytest_plugins = ["mizzen_runtime.testing.fixtures"]

RESOURCE = Path(__file__).parent.parent / "agentdeployment.yaml"
LOST = {"team": "delivery", "urgency": 4, "customer_id": "c-17", "summary": "Order o-2041 is lost."}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Script:
    """Plays a model that calls one tool after the other, then answers."""

    def __init__(self, *calls: tuple[str, dict[str, object]]) -> None:
        self._calls = [*calls, ("", LOST)]
        self.seen: list[object] = []

    def __call__(self, messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        parts = messages[-1].parts
        self.seen += [part.content for part in parts if isinstance(part, ToolReturnPart | RetryPromptPart)]
        name, arguments = self._calls[len(self.seen)]
        return ModelResponse(parts=[ToolCallPart(name or info.output_tools[0].name, arguments)])


class Nobody:
    """A directory of this test's own."""

    async def find(self, email: str) -> Customer | None:
        return None

    async def orders_of(self, customer_id: str) -> list[Order] | None:
        return None


@pytest.mark.anyio
async def test_the_agent_looks_the_customer_and_the_orders_up_before_it_answers(start_agent: StartAgent) -> None:
    script = Script(("find_customer", {"email": "Bob@example.org"}), ("orders_of", {"customer_id": "c-17"}))
    agent = await start_agent(RESOURCE, model=FunctionModel(script))

    answer = await agent.run("bob@example.org: where is my order o-2041?")

    assert answer.output == Triage.model_validate(LOST)
    assert script.seen == [
        Customer("c-17", "bob@example.org", "enterprise"),
        [Order("o-2041", "lost"), Order("o-1988", "delivered")],
    ]


@pytest.mark.anyio
async def test_a_customer_that_is_made_up_is_the_models_to_correct(start_agent: StartAgent) -> None:
    script = Script(("orders_of", {"customer_id": "c-99"}))
    agent = await start_agent(RESOURCE, model=FunctionModel(script), services={CustomerDirectory: Nobody()})

    await agent.run("Where is my order?")

    assert script.seen == ["there is no customer 'c-99': use find_customer first"]


@pytest.mark.anyio
async def test_the_customers_may_be_in_another_file(tmp_path: Path) -> None:
    path = tmp_path / "customers.json"
    path.write_text('{"customers": [{"id": "c-1", "email": "Ann@example.org", "plan": "free"}], "orders": {}}')
    directory = FileDirectory(FileSettings(path=path))
    await directory.initialize()

    assert await directory.find("ann@example.org ") == Customer("c-1", "Ann@example.org", "free")
    assert await directory.orders_of("c-1") == []


def test_an_urgency_outside_of_the_scale_is_no_answer() -> None:
    with pytest.raises(ValidationError):
        Triage.model_validate({**LOST, "urgency": 6})
