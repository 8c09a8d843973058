"""Acme's customers. They come from a file here; yours come from a database or an API."""

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Self

from pydantic import TypeAdapter


@dataclass(frozen=True)
class Order:
    """One order."""

    id: str
    status: str


@dataclass(frozen=True)
class Customer:
    """One customer."""

    id: str
    email: str
    plan: str


class CustomerDirectory:
    """Finds customers and their orders."""

    def __init__(self, customers: list[Customer], orders: dict[str, list[Order]]) -> None:
        self._by_email = {customer.email.lower(): customer for customer in customers}
        self._orders = {customer.id: orders.get(customer.id, []) for customer in customers}

    @classmethod
    def bundled(cls) -> Self:
        """Read the file that is installed with the package."""
        raw = json.loads(files("acme_triage").joinpath("customers.json").read_text())
        return cls(
            TypeAdapter(list[Customer]).validate_python(raw["customers"]),
            TypeAdapter(dict[str, list[Order]]).validate_python(raw["orders"]),
        )

    async def find(self, email: str) -> Customer | None:
        """Give the customer with an address, in whatever case it is written."""
        return self._by_email.get(email.strip().lower())

    def orders_of(self, customer_id: str) -> list[Order] | None:
        """Give a customer's orders, the newest first; None if there is no such customer."""
        return self._orders.get(customer_id)
