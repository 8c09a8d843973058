"""A service behind a breaker: in its place for all who use it, with the same methods and attributes."""

import functools
from collections.abc import Callable
from typing import Any

import typing_extensions

from mizzen_runtime.breakers.breaker import BreakerOpenError, CircuitBreaker, Permit
from mizzen_runtime.services import ServiceUnavailableError
from mizzen_runtime.services.conformance import Lifecycle, members_of
from mizzen_runtime.services.methods import Method, Way


def can_be_guarded(interface: object) -> bool:
    """Tell whether another object may take the place of a service: only if its interface is a Protocol.

    What asks for a class of its own may look into its instances, which nothing else can stand for.
    """
    return isinstance(interface, type) and typing_extensions.is_protocol(interface)


def guard(interface: type, breaker: CircuitBreaker) -> Callable[[Any], Any]:
    """Give what puts a breaker before a service.

    The async methods that the interface declares pass the breaker, apart from `initialize`, `close` and `health_check`.
    A call that raises ServiceUnavailableError has failed; any other exception, and being cancelled, says nothing of the
    service. A call that does not pass raises ServiceUnavailableError at once.

    Args:
        interface: A Protocol; `isinstance` takes what this gives for it as it does for the service.
        breaker: The service's own.
    """
    members = {name: _member(interface, name) for name in members_of(interface)}
    kind = type(f"Guarded{interface.__name__}", (_GuardedService,), {"__slots__": (), **members})
    return functools.partial(kind, breaker)


class _GuardedService:
    """Stands for a service."""

    __slots__ = ("_guarded_service", "_guarding_breaker")

    def __init__(self, breaker: CircuitBreaker, service: Any) -> None:
        self._guarding_breaker = breaker
        self._guarded_service = service

    def __getattr__(self, name: str) -> Any:
        return getattr(self._guarded_service, name)


def _member(interface: type, name: str) -> Any:
    method = Method.of(interface, name)
    if method is None or method.way is not Way.COROUTINE or name in members_of(Lifecycle):
        return _attribute(name)
    return _guarded_method(getattr(interface, name), name)


def _attribute(name: str) -> property:
    """Give an attribute that the class itself has: `isinstance` does not look further."""

    def get(guarded: _GuardedService) -> Any:
        return getattr(guarded._guarded_service, name)  # noqa: SLF001 - a member of this very class

    def put(guarded: _GuardedService, value: Any) -> None:
        setattr(guarded._guarded_service, name, value)  # noqa: SLF001 - as above

    return property(get, put)


def _guarded_method(declared: Callable[..., Any], name: str) -> Callable[..., Any]:
    @functools.wraps(declared)
    async def call(guarded: _GuardedService, /, *args: Any, **kwargs: Any) -> Any:
        permit = _permit_of(guarded._guarding_breaker)  # noqa: SLF001 - a member of this very class
        try:
            result = await getattr(guarded._guarded_service, name)(*args, **kwargs)  # noqa: SLF001 - as above
        except ServiceUnavailableError as error:
            permit.failed(retry_after=error.retry_after)
            raise
        except BaseException:
            permit.ignored()
            raise
        permit.succeeded()
        return result

    return call


def _permit_of(breaker: CircuitBreaker) -> Permit:
    try:
        return breaker.acquire()
    except BreakerOpenError as error:
        message = f"{breaker.name.removeprefix('service:')} is not asked for now: its breaker is open"
        raise ServiceUnavailableError(message, retry_after=error.retry_after) from error
