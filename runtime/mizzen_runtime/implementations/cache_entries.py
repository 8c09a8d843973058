"""What every cache agrees on: keys, values as JSON, and times to live."""

import json
from typing import Any

from mizzen_runtime.services import ServiceError

MAX_KEY_BYTES = 1024
"""Of a key in UTF-8."""
MAX_VALUE_BYTES = 1024 * 1024
"""Of a value as JSON, unless a setting says otherwise."""
MAX_TTL = 10 * 365 * 24 * 3600
"""Seconds: ten years. What is to be kept longer belongs into a database."""
MAX_DEPTH = 100
"""Lists and objects within each other."""


class InvalidKeyError(ServiceError, ValueError):
    """A key is no text, empty or too long."""


class InvalidTTLError(ServiceError, ValueError):
    """A time to live is no whole number of seconds between 1 and `MAX_TTL`."""


class UnstorableValueError(ServiceError, ValueError):
    """A value holds something that JSON has not. The message names a type, never a value."""


class ValueTooLargeError(ServiceError, ValueError):
    """A value has more bytes as JSON than the cache takes."""


class ForeignValueError(ServiceError):
    """What is there under a key was not written by this cache, or not as it is configured now."""


def encode_key(key: str) -> bytes:
    """Give a key in UTF-8.

    Raises:
        InvalidKeyError: It is none.
    """
    if not isinstance(key, str):
        raise InvalidKeyError(f"a key is a str, not of type {type(key).__name__}")
    try:
        encoded = key.encode()
    except UnicodeEncodeError:
        raise InvalidKeyError("the key holds half a surrogate pair, which UTF-8 has not; remove it") from None
    if not 1 <= len(encoded) <= MAX_KEY_BYTES:
        raise InvalidKeyError(f"a key has 1 to {MAX_KEY_BYTES} bytes, not {len(encoded)}; hash what is longer")
    return encoded


def check_ttl(ttl: int) -> int:
    """Give a time to live back, in seconds.

    Raises:
        InvalidTTLError: It is none.
    """
    if type(ttl) is not int:  # True is an int, too
        raise InvalidTTLError(f"ttl is a whole number of seconds, not of type {type(ttl).__name__}")
    if not 1 <= ttl <= MAX_TTL:
        raise InvalidTTLError(f"ttl is {ttl if abs(ttl) < 10**18 else 'too large'}; give 1 to {MAX_TTL} seconds")
    return ttl


def encode_value(value: Any, max_bytes: int) -> bytes:
    """Give a value as JSON in UTF-8.

    Tuples become lists, and subclasses of JSON's types, such as `IntEnum`, what they are based on. All else comes back
    from `decode_value` equal.

    Raises:
        UnstorableValueError: It holds something that would not.
        ValueTooLargeError: It has more than `max_bytes`.
    """
    try:
        encoded = json.dumps(
            value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_refuse_type
        ).encode()
    except UnstorableValueError:
        raise
    except TypeError:
        raise UnstorableValueError("the value has a dict with a key that is no str; convert it first") from None
    except RecursionError:
        raise UnstorableValueError(f"the value is nested more than {MAX_DEPTH} levels deep") from None
    except UnicodeEncodeError:
        raise UnstorableValueError("the value holds half a surrogate pair, which UTF-8 has not; remove it") from None
    except ValueError:
        raise UnstorableValueError(
            "the value holds itself, NaN, an infinity, or a whole number of too many digits, which JSON has not"
        ) from None
    if len(encoded) > max_bytes:
        raise ValueTooLargeError(f"the value has {len(encoded)} bytes as JSON, and max_value_bytes allows {max_bytes}")
    _check_inside(value)
    return encoded


def decode_value(encoded: bytes) -> Any:
    """Give the value that `encode_value` made JSON of.

    Raises:
        ForeignValueError: It is no JSON.
    """
    try:
        return json.loads(encoded)
    except (ValueError, RecursionError):
        raise ForeignValueError(
            "the value is no JSON: something else writes under the prefix of this cache; give each its own prefix"
        ) from None


def _refuse_type(value: object) -> None:
    raise UnstorableValueError(f"the value holds an object of type {type(value).__name__}, which JSON has not")


def _check_inside(value: Any) -> None:
    """Refuse what `json.dumps` lets through: keys that it makes strings of, and what is nested too deep to be read."""
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH + 1):
        inside: list[Any] = []
        for each in level:
            if isinstance(each, dict):
                for key in each:
                    if not isinstance(key, str):
                        raise UnstorableValueError(
                            f"the value has a dict with a key of type {type(key).__name__}; keys are strings"
                        )
                inside.extend(each.values())
            elif isinstance(each, list | tuple):
                inside.extend(each)
        if not inside:
            return
        level = inside
    raise UnstorableValueError(f"the value is nested more than {MAX_DEPTH} levels deep")
