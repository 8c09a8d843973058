"""What is told of a failure of Redis: redis-py's texts may hold keys, and say nothing about what to do."""

import re
from collections.abc import Callable

from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    MovedError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import TimeoutError as RedisTimeoutError

from mizzen_runtime.implementations.cache_entries import ForeignValueError
from mizzen_runtime.implementations.connecting import fault_of
from mizzen_runtime.services import ServiceError, ServiceUnavailableError


class CacheRefusedError(ServiceError):
    """Redis refuses the user, its password, or what the user may not do: somebody must act."""


class CacheFullError(ServiceError):
    """Redis has no memory left, and may not evict anything."""


_CLUSTER = "is part of a Redis Cluster, which is not supported; name a single server"
_TOLD: tuple[tuple[type[RedisError], Callable[[str], ServiceError], str], ...] = (
    (AuthenticationError, CacheRefusedError, "refuses the username or the password; correct them in the Secret"),
    (AuthorizationError, CacheRefusedError, "refuses the username or the password; correct them in the Secret"),
    (
        NoPermissionError,
        CacheRefusedError,
        "does not let this user do that; its ACL needs ~{prefix}* +getrange +set +scan +unlink +ping",
    ),
    (OutOfMemoryError, CacheFullError, "has no memory left; raise maxmemory, or let it evict (maxmemory-policy)"),
    (ReadOnlyError, ServiceError, "is a replica, which cannot be written to; name the primary"),
    (BusyLoadingError, ServiceUnavailableError, "is not ready yet"),
    (MasterDownError, ServiceUnavailableError, "is a replica without its primary"),
    (ClusterDownError, ServiceError, _CLUSTER),  # what the one before is a kind of
    (MovedError, ServiceError, _CLUSTER),
    (
        RedisTimeoutError,
        ServiceUnavailableError,
        "cannot be reached: connecting took longer than connect_timeout_seconds; with TLS, does it speak TLS?",
    ),
)
"""By kind of error, the first that fits: our error, and what it says after the server's name."""


def service_error_of(error: RedisError, address: str, prefix: str) -> ServiceError:
    """Give our error for one of redis-py.

    Args:
        error: What redis-py raised.
        address: Host and port of the server.
        prefix: What the cache's keys begin with.
    """
    for kind, ours, told in _TOLD:
        if isinstance(error, kind):
            return ours(f"Redis at {address} {told.replace('{prefix}', prefix)}")
    if isinstance(error, ResponseError):
        return _refusal(error, address)
    return ServiceUnavailableError(f"Redis at {address} cannot be reached: {fault_of(error)}")


def _refusal(error: ResponseError, address: str) -> ServiceError:
    code = re.match(r"[A-Z]{2,20}\b", str(error))
    if code is not None and code[0] == "WRONGTYPE":
        return ForeignValueError("the value is no string: something else writes under the prefix of this cache")
    return ServiceError(f"Redis at {address} refuses the command{f' ({code[0]})' if code else ''}; its log may say why")
