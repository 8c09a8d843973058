"""The agent: its instructions, the shape of its answer, the services that it is given, and its tools."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, Field
from pydantic_ai import Agent, ModelRetry, RunContext

from acme_triage.customers import Customer, CustomerDirectory, Order


class Triage(BaseModel):
    """Where a ticket goes, and how soon."""

    team: Literal["billing", "delivery", "technical"]
    urgency: int = Field(ge=1, le=5, description="1 can wait for weeks, 5 cannot wait for an hour")
    customer_id: str | None = Field(description="None where the ticket's author is no customer")
    summary: str = Field(max_length=200, description="The problem in one sentence")


@dataclass
class Deps:
    """What each run is given: services of `spec.services`, by their type."""

    customers: CustomerDirectory


triage = Agent(
    name="triage",
    description="Sorts support tickets",
    instructions=(
        "You triage tickets of customers. Look the author up by the address in the ticket, and the author's orders if "
        "the ticket is about one. Customers with the plan 'enterprise' are one step more urgent."
    ),
    output_type=Triage,
    deps_type=Deps,
)
"""Names no model: `spec.models` of the AgentDeployment does, and a test overrides it."""


@triage.tool
async def find_customer(context: RunContext[Deps], email: str) -> Customer | None:
    """Find the customer that an address belongs to.

    Args:
        context: Of the run.
        email: The whole address, such as `bob@example.org`.
    """
    return await context.deps.customers.find(email)


@triage.tool
async def orders_of(context: RunContext[Deps], customer_id: str) -> Sequence[Order]:
    """List a customer's orders, the newest first.

    Args:
        context: Of the run.
        customer_id: As `find_customer` gives it.
    """
    orders = await context.deps.customers.orders_of(customer_id)
    if orders is None:
        raise ModelRetry(f"there is no customer {customer_id!r}: use find_customer first")
    return orders
