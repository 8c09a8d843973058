"""What every `DatabaseService` must do, as tests.

To run them on an implementation of your own:

    class TestMyDatabase(DatabaseContract):
        @pytest.fixture
        async def database(self) -> AsyncIterator[DatabaseService]:
            service = MyDatabase(...)
            await service.initialize()
            yield service
            await service.close()
"""

import asyncio
import copy
import math
from datetime import UTC, datetime
from typing import Any

import pytest

from mizzen_runtime.services import DatabaseService

RESULTS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "texts": {
        "plain": "a",
        "empty": "",
        "quoted": "\"'\\/\n\t\x7f\x01",
        "foreign": "äöü 漢字 😀  ",
        "\\u0000": "\\u0000",
    },
    "odd keys": {"": 1, " ": 2, "a.b": 3, '"': 4, "schlüssel": 5, "$ref": 6, "__proto__": 7},
    "whole numbers": {
        "zero": 0,
        "negative": -1,
        "of 64 bits": 2**63 - 1,
        "of more": 10**40,
        "beyond a double": 2**53 + 1,
    },
    "decimals": {"tenth": 0.1, "whole": 1.0, "large": 1e23, "largest": 1.7976931348623157e308, "smallest": 5e-324},
    "truth": {"yes": True, "no": False, "neither": None},
    "lists": {"empty": [], "nested": [[], [[]], [1, ["a", None]]], "mixed": [1, "1", 1.5, True, None, {}]},
    "objects": {"a": {"b": {"c": {"d": [{"e": {}}]}}}},
    "deep": {"a": [[[[[[[[[[[[[[[[[[[[{"bottom": True}]]]]]]]]]]]]]]]]]]]]},
    "many": {f"key {number}": number for number in range(2000)},
    "long": {"text": "x" * 100_000},
}
"""What must come back as it was."""

UNSTORABLE: dict[str, dict[Any, Any]] = {
    "no number": {"value": math.nan},
    "infinite": {"value": [math.inf]},
    "a set": {"value": {1, 2}},
    "bytes": {"value": b"bytes"},
    "a date": {"value": datetime(2026, 1, 1, tzinfo=UTC)},
    "an object": {"value": object()},
    "a number as key": {"value": {1: "one"}},
    "U+0000": {"value": "a\x00b"},
    "U+0000 in a key": {"a\x00b": 1},
    "half a character": {"value": "\ud800"},
}
"""What cannot come back as it was, and must be refused."""

UNKNOWN_IDS = [
    "",
    "unknown",
    "01a21e7e-1098-78ef-9fd1-cd3452edb91a",
    "%",
    "'; --",
    "a\x00b",
    "x" * 10_000,
    "🤷",
    "../..",
]


@pytest.mark.anyio
class DatabaseContract:
    """Subclass it, and give the fixture `database`."""

    @pytest.fixture
    def anyio_backend(self) -> object:
        return "asyncio"

    @pytest.fixture
    async def database(self) -> DatabaseService:
        raise NotImplementedError("give a fixture `database` that yields the service, initialized")

    async def test_it_has_the_interface(self, database: DatabaseService) -> None:
        assert isinstance(database, DatabaseService)

    @pytest.mark.parametrize("result", RESULTS.values(), ids=RESULTS.keys())
    async def test_a_result_comes_back_equal(self, database: DatabaseService, result: dict[str, Any]) -> None:
        found = await database.get_result(await database.save_result(result))
        assert found == result
        assert _types(found) == _types(result)

    async def test_results_are_kept_apart(self, database: DatabaseService) -> None:
        results = [{"number": number} for number in range(20)]
        ids = [await database.save_result(result) for result in results]
        assert [await database.get_result(result_id) for result_id in ids] == results

    async def test_equal_results_have_ids_of_their_own(self, database: DatabaseService) -> None:
        ids = [await database.save_result({"same": True}) for _ in range(20)]
        assert len(set(ids)) == len(ids)
        assert "" not in ids

    async def test_saves_at_the_same_time_do_not_mix(self, database: DatabaseService) -> None:
        results = [{"number": number, "text": str(number) * 1000} for number in range(50)]
        ids = await asyncio.gather(*(database.save_result(result) for result in results))
        found = await asyncio.gather(*(database.get_result(result_id) for result_id in ids))
        assert list(found) == results

    @pytest.mark.parametrize("result_id", UNKNOWN_IDS)
    async def test_an_unknown_id_has_no_result(self, database: DatabaseService, result_id: str) -> None:
        await database.save_result({"another": True})
        assert await database.get_result(result_id) is None

    async def test_a_changed_id_has_no_result(self, database: DatabaseService) -> None:
        result_id = await database.save_result({})
        for changed in (f" {result_id}", f"{result_id}\n", f"{result_id}0", result_id[:-1], f"{{{result_id}}}"):
            assert await database.get_result(changed) is None, changed

    async def test_what_is_kept_does_not_change_with_what_was_saved(self, database: DatabaseService) -> None:
        result: dict[str, Any] = {"list": [1], "object": {"a": 1}}
        saved = copy.deepcopy(result)
        result_id = await database.save_result(result)
        assert result == saved
        result["list"].append(2)
        result["object"].clear()
        assert await database.get_result(result_id) == saved

    async def test_what_is_kept_does_not_change_with_what_was_found(self, database: DatabaseService) -> None:
        result_id = await database.save_result({"list": [1]})
        found = await database.get_result(result_id)
        assert found is not None
        found["list"].append(2)
        assert await database.get_result(result_id) == {"list": [1]}

    @pytest.mark.parametrize("result", UNSTORABLE.values(), ids=UNSTORABLE.keys())
    async def test_what_would_not_come_back_is_refused(self, database: DatabaseService, result: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=r".") as refusal:
            await database.save_result(result)
        assert "bytes'" not in str(refusal.value), "an error holds no data"
        assert await database.get_result(await database.save_result({"after": "it"})) == {"after": "it"}

    async def test_a_result_that_contains_itself_is_refused(self, database: DatabaseService) -> None:
        result: dict[str, Any] = {}
        result["itself"] = [result]
        with pytest.raises(ValueError, match=r"."):
            await database.save_result(result)

    async def test_a_call_that_is_given_up_harms_no_other(self, database: DatabaseService) -> None:
        result_id = await database.save_result({"before": True})
        for turns in range(20):
            calls = [asyncio.create_task(_both(database, {"number": number})) for number in range(5)]
            for _ in range(turns):
                await asyncio.sleep(0)
            for call in calls:
                call.cancel()
            await asyncio.wait(calls)
            assert await database.get_result(result_id) == {"before": True}
        assert await database.get_result(await database.save_result({"after": True})) == {"after": True}

    async def test_it_may_be_closed_twice(self, database: DatabaseService) -> None:
        close = getattr(database, "close", None)
        if close is not None:  # it is optional
            await close()
            await close()

    async def test_it_is_healthy(self, database: DatabaseService) -> None:
        assert await database.health_check() is True


async def _both(database: DatabaseService, result: dict[str, Any]) -> None:
    assert await database.get_result(await database.save_result(result)) == result


def _types(value: object) -> object:
    """Give the types of a value and of all that is in it: to Python 1, 1.0 and True are equal."""
    if isinstance(value, dict):
        return {key: _types(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_types(item) for item in value]
    return type(value)
