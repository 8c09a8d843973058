"""An external API for tests: answers that the test sets, and a log of its calls."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from mizzen_runtime.implementations.http_guard import SourceGuard
from mizzen_runtime.services import ServiceError


async def _somewhere_public(host: str, port: int) -> Sequence[str]:  # noqa: ARG001 - as any resolver
    """Stand in for the DNS: every name is known, and public unless it says that it is not."""
    return ["127.0.0.1" if host.endswith("localhost") else "8.8.8.8"]


class TestExternalAPIService:
    """Asks nobody, is always healthy, and remembers what it was asked for."""

    __test__ = False

    def __init__(
        self,
        answers: Mapping[str, dict[str, Any] | Exception] | None = None,
        *,
        allowed_hosts: Sequence[str] = (),
    ) -> None:
        """Set what is answered.

        Args:
            answers: By query, what `fetch_data` gives or raises; any other query is answered by `{"query": query}`.
            allowed_hosts: As in the settings of `http`.
        """
        self._answers = dict(answers or {})
        self._guard = SourceGuard(allowed_hosts=allowed_hosts, resolver=_somewhere_public)
        self._calls: list[tuple[Any, ...]] = []

    def set_answer(self, query: str, answer: dict[str, Any] | Exception) -> None:
        """Set what `fetch_data` gives or raises for a query from now on."""
        self._answers[query] = answer

    def get_call_log(self) -> list[tuple[Any, ...]]:
        """Give the calls in their order: `("fetch", query)` and `("validate", source_url)`."""
        return list(self._calls)

    async def fetch_data(self, query: str) -> dict[str, Any]:
        """Give the answer that was set, or raise the error.

        Raises:
            ServiceError: The query is no text.
        """
        if not isinstance(query, str):
            raise ServiceError(f"a query is a str, not of type {type(query).__name__}")
        self._calls.append(("fetch", query))
        answer = self._answers.get(query, {"query": query})
        if isinstance(answer, Exception):
            raise answer
        return copy.deepcopy(answer)

    async def validate_source(self, source_url: str) -> bool:
        """Tell what `http` would, if every name were known and public."""
        self._calls.append(("validate", source_url))
        try:
            await self._guard.check(source_url)
        except ServiceError:
            return False
        return True

    async def health_check(self) -> bool:
        """Tell that it can be used."""
        return True
