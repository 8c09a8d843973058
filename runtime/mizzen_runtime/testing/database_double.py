"""A database service for tests."""

from typing import Any

from mizzen_runtime.implementations.results import MAX_RESULT_BYTES, decode_result, encode_result


class TestDatabaseService:
    """Keeps results in memory, under ids that a test can foretell: `test_0`, `test_1` and so on.

    It takes and refuses the same results as the real ones, and is always healthy.
    """

    __test__ = False  # for pytest, a class of such a name is one of tests

    def __init__(self, *, max_result_bytes: int = MAX_RESULT_BYTES) -> None:
        """Hold nothing.

        Args:
            max_result_bytes: Size of one result as JSON; a larger one is refused.
        """
        self._max_result_bytes = max_result_bytes
        self._results: dict[str, str] = {}
        self._calls: list[tuple[Any, ...]] = []

    async def save_result(self, result_data: dict[str, Any]) -> str:
        """Keep a result, and give its id.

        Raises:
            UnstorableResultError: It holds what JSON has not, or what no database keeps.
            ResultTooLargeError: It has more than `max_result_bytes`.
        """
        text = encode_result(result_data, self._max_result_bytes)
        result_id = f"test_{len(self._results)}"
        self._results[result_id] = text
        self._calls.append(("save", result_id, decode_result(text)))
        return result_id

    async def get_result(self, result_id: str) -> dict[str, Any] | None:
        """Give the result of an id; None if there is none."""
        self._calls.append(("get", result_id))
        text = self._results.get(result_id)
        return None if text is None else decode_result(text)

    async def health_check(self) -> bool:
        """Tell that it can be used."""
        return True

    def get_call_log(self) -> list[tuple[Any, ...]]:
        """Give the calls in their order: `("save", id, data)` for one that kept something, `("get", id)`."""
        return list(self._calls)
