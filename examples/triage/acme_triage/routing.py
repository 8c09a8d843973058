"""An agent that answers by itself, without a model: it derives from the base, and gets limits, metrics and batches."""

from typing import Literal

from pydantic import BaseModel

from acme_triage.customers import CustomerDirectory
from mizzen_runtime.production_agent import ProductionAgentBase


class Ticket(BaseModel):
    """What comes in."""

    email: str
    text: str


class Route(BaseModel):
    """Where it goes."""

    queue: Literal["priority", "orders", "general"]
    orders: list[str] = []
    """Numbers of the customer's orders, the newest first."""


class Routing(ProductionAgentBase[Ticket, Route]):
    """Finds the queue of a ticket by what is known of its customer."""

    async def _process_core_request(self, request: Ticket) -> Route:
        directory = self.services.get(CustomerDirectory)
        customer = await directory.find(request.email)
        if customer is None:
            return Route(queue="general")
        orders = [order.id for order in await directory.orders_of(customer.id) or ()]
        if customer.plan == "enterprise":
            return Route(queue="priority", orders=orders)
        return Route(queue="orders" if orders else "general", orders=orders)
