"""The real databases and the double do what every database must."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from mizzen_runtime.implementations.postgres import ProductionDatabaseService
from mizzen_runtime.implementations.sqlite import SqliteDatabaseService
from mizzen_runtime.services import DatabaseService
from mizzen_runtime.testing.database_contract import DatabaseContract
from mizzen_runtime.testing.database_double import TestDatabaseService
from tests.support.postgres import PostgresServer


class TestPostgres(DatabaseContract):
    @pytest.fixture
    def anyio_backend(self) -> object:
        return "asyncio", {"use_uvloop": True}

    @pytest.fixture
    async def database(self, shared_postgres: PostgresServer) -> AsyncIterator[DatabaseService]:
        service = ProductionDatabaseService(shared_postgres.url, table=f"results_{uuid4().hex}")
        await service.initialize()
        yield service
        await service.close()


class TestSqlite(DatabaseContract):
    @pytest.fixture
    async def database(self, tmp_path: Path) -> AsyncIterator[DatabaseService]:
        service = SqliteDatabaseService(tmp_path / "results.db")
        await service.initialize()
        yield service
        await service.close()


class TestDouble(DatabaseContract):
    @pytest.fixture
    async def database(self) -> DatabaseService:
        return TestDatabaseService()
