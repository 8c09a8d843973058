"""What an agent may be given: the interfaces of services. A stable import path for own code."""

from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class DatabaseService(Protocol):
    """Keeps results of agents."""

    async def save_result(self, result_data: dict[str, Any]) -> str:
        """Keep a result, and give the id under which it is found again."""
        ...

    async def get_result(self, result_id: str) -> dict[str, Any] | None:
        """Give the result of that id; None if there is none."""
        ...

    async def health_check(self) -> bool:
        """Tell whether the service can be used now."""
        ...


@runtime_checkable
class ExternalAPIService(Protocol):
    """Asks a system outside."""

    async def fetch_data(self, query: str) -> dict[str, Any]:
        """Give what the system answers to a query."""
        ...

    async def validate_source(self, source_url: str) -> bool:
        """Tell whether a URL may be used as a source, and answers."""
        ...


@runtime_checkable
class CacheService(Protocol):
    """Keeps values for a while."""

    async def get(self, key: str) -> Any:
        """Give the value of a key; None if it is not there."""
        ...

    async def set(self, key: str, value: Any, ttl: int = 3600) -> None:
        """Keep a value for `ttl` seconds."""
        ...

    async def invalidate(self, pattern: str) -> int:
        """Remove the keys that match a glob pattern, and give how many there were."""
        ...


class ServiceError(Exception):
    """A service could not do what it was asked for. The message is ours: it holds no secret and no data."""


class ServiceUnavailableError(ServiceError):
    """A service cannot be reached, or did not answer in time: it may work later."""
