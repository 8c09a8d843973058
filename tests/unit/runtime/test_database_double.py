"""The database service for tests: what it adds to the contract."""

import pytest

from mizzen_runtime.implementations.results import ResultTooLargeError
from mizzen_runtime.testing.database_double import TestDatabaseService

pytestmark = pytest.mark.anyio


async def test_ids_can_be_foretold() -> None:
    database = TestDatabaseService()
    assert [await database.save_result({}) for _ in range(3)] == ["test_0", "test_1", "test_2"]
    assert await TestDatabaseService().save_result({}) == "test_0"


async def test_it_tells_its_calls_in_their_order() -> None:
    database = TestDatabaseService()
    result = {"list": [1]}
    await database.save_result(result)
    result["list"].append(2)
    await database.get_result("test_0")
    await database.get_result("unknown")
    with pytest.raises(ValueError, match="JSON has not"):
        await database.save_result({"set": set()})
    log = database.get_call_log()
    assert log == [("save", "test_0", {"list": [1]}), ("get", "test_0"), ("get", "unknown")]
    log.clear()
    assert len(database.get_call_log()) == 3


async def test_it_refuses_what_is_too_large() -> None:
    with pytest.raises(ResultTooLargeError):
        await TestDatabaseService(max_result_bytes=10).save_result({"text": "x" * 10})


def test_it_is_no_class_of_tests() -> None:
    assert TestDatabaseService.__test__ is False
