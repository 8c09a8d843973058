"""Database services of tests, which end with their blocks whatever happens: uvloop never closes over an open one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mizzen_runtime.implementations.postgres import ProductionDatabaseService


@asynccontextmanager
async def made(url: str, **options: Any) -> AsyncIterator[ProductionDatabaseService]:
    """A service that has not begun."""
    service = ProductionDatabaseService(url, **options)
    try:
        yield service
    finally:
        await service.close()


@asynccontextmanager
async def running(url: str, **options: Any) -> AsyncIterator[ProductionDatabaseService]:
    """A service that can be used."""
    async with made(url, **options) as service:
        await service.initialize()
        yield service
