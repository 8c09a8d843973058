"""Acme's customers: what the agent asks for, and where they come from. Here it is a file; yours ask a database."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel, TypeAdapter


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


class CustomerDirectory(Protocol):
    """Finds customers and their orders: the interface that `spec.services` names."""

    async def find(self, email: str) -> Customer | None:
        """Give the customer with an address, in whatever case it is written."""
        ...

    async def orders_of(self, customer_id: str) -> Sequence[Order] | None:
        """Give a customer's orders, the newest first; None if there is no such customer."""
        ...


class FileSettings(BaseModel, extra="forbid"):
    """What `FileDirectory` takes."""

    path: Path | None = None
    """The file, as JSON with `customers` and `orders`; the one that is installed with the package unless set."""


class FileDirectory:
    """Finds them in a file, read once before the first request."""

    def __init__(self, settings: FileSettings) -> None:
        self._path = settings.path
        self._by_email: Mapping[str, Customer] = {}
        self._orders: Mapping[str, Sequence[Order]] = {}

    async def initialize(self) -> None:
        """Read the file, in a thread: a disk may be slow."""
        raw = json.loads(await asyncio.to_thread((self._path or files("acme_triage") / "customers.json").read_text))
        customers = TypeAdapter(list[Customer]).validate_python(raw["customers"])
        orders = TypeAdapter(dict[str, list[Order]]).validate_python(raw["orders"])
        self._by_email = {customer.email.lower(): customer for customer in customers}
        self._orders = {customer.id: orders.get(customer.id, []) for customer in customers}

    async def find(self, email: str) -> Customer | None:
        """Give the customer with an address, in whatever case it is written."""
        return self._by_email.get(email.strip().lower())

    async def orders_of(self, customer_id: str) -> Sequence[Order] | None:
        """Give a customer's orders, the newest first; None if there is no such customer."""
        return self._orders.get(customer_id)
