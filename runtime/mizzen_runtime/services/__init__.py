"""What an agent may be given: the interfaces of services, and their errors.

A stable import path for own code: what it has here stays under these names. `docs/services.md` teaches it. An interface
of one's own is a Protocol like these, and equal in rank. `mizzen_runtime.service_wiring` finds what the names in
`spec.services` stand for, and gives each its settings.
"""

from typing import Any, Protocol, runtime_checkable

# Optional on any service:
#   async def initialize(self) -> None     awaited once before the service is used
#   async def close(self) -> None          awaited once when nobody uses it any more
#   async def health_check(self) -> bool   whether it can do its work now


@runtime_checkable
class DatabaseService(Protocol):
    """Keeps results."""

    async def save_result(self, result_data: dict[str, Any]) -> str:
        """Save a result and give its id."""
        ...

    async def get_result(self, result_id: str) -> dict[str, Any] | None:
        """Give a result, or None if there is none with this id."""
        ...

    async def health_check(self) -> bool:
        """Tell whether results can be saved and read now."""
        ...


@runtime_checkable
class ExternalAPIService(Protocol):
    """Asks somebody else's HTTP API."""

    async def fetch_data(self, query: str) -> dict[str, Any]:
        """Give what the API answers to a query."""
        ...

    async def validate_source(self, source_url: str) -> bool:
        """Tell whether a URL may be asked, and answers."""
        ...


@runtime_checkable
class CacheService(Protocol):
    """Keeps values for some time."""

    async def get(self, key: str) -> Any:
        """Give the value of a key, or None if it is not there."""
        ...

    async def set(self, key: str, value: Any, ttl: int = 3600) -> None:
        """Keep a value for `ttl` seconds."""
        ...

    async def invalidate(self, pattern: str) -> int:
        """Remove the keys that match a glob pattern, and give their number."""
        ...


class ServiceError(Exception):
    """A service could not do what it was asked for; the message is ours and holds no secret and no data."""


class ServiceUnavailableError(ServiceError):
    """The service cannot be reached, or did not answer in time: it may work later."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        """Tell what happened.

        Args:
            message: The message.
            retry_after: Seconds after which it is worth asking again, where the service said so.
        """
        super().__init__(message)
        self.retry_after = retry_after
