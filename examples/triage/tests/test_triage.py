"""The agent without a model: a function plays it, and the tools are the real ones."""

import pytest
from pydantic import ValidationError
from pydantic_ai import ModelMessage, ModelResponse, ModelRetry, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from acme_triage.agents import Triage, orders_of, triage
from acme_triage.customers import Customer, Order

LOST = {"team": "delivery", "urgency": 4, "customer_id": "c-17", "summary": "Order o-2041 is lost."}


def test_the_agent_looks_the_customer_and_the_orders_up_before_it_answers() -> None:
    seen: list[object] = []

    def model(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        seen.extend(part.content for part in messages[-1].parts if isinstance(part, ToolReturnPart))
        calls = [
            ToolCallPart("find_customer", {"email": "Bob@example.org"}),
            ToolCallPart("orders_of", {"customer_id": "c-17"}),
            ToolCallPart(info.output_tools[0].name, LOST),
        ]
        return ModelResponse(parts=[calls[len(seen)]])

    with triage.override(model=FunctionModel(model)):
        result = triage.run_sync("bob@example.org: where is my order o-2041?")

    assert result.output == Triage.model_validate(LOST)
    assert seen == [
        Customer("c-17", "bob@example.org", "enterprise"),
        [Order("o-2041", "lost"), Order("o-1988", "delivered")],
    ]


def test_a_customer_that_is_made_up_is_the_models_to_correct() -> None:
    with pytest.raises(ModelRetry, match="there is no customer 'c-99'"):
        orders_of("c-99")


def test_an_urgency_outside_of_the_scale_is_no_answer() -> None:
    with pytest.raises(ValidationError):
        Triage.model_validate({**LOST, "urgency": 6})
