"""What a result is, whichever database keeps it: JSON whose every value comes back equal, under an id of its own."""

import json
import math
import re
import secrets
import time
import uuid
from collections.abc import Callable
from decimal import Decimal
from json.encoder import encode_basestring as quoted  # with the quotes, and without escapes for what UTF-8 holds
from typing import Any

from mizzen_api.problems import MAX_SHOWN, shortened
from mizzen_runtime.services import ServiceError

DEFAULT_TABLE = "mizzen_results"
TABLE_PATTERN = r"^[a-z_][a-z0-9_]{0,62}$"
"""What a table may be called: a name that means the same with quotes and without, in every database."""
MAX_RESULT_BYTES = 256 * 1024
"""How many bytes a result may have as JSON in UTF-8, unless a setting says otherwise: some 20 ms of the event loop."""
MAX_DEPTH = 100
"""Lists and objects within each other. It ends a result that contains itself, too."""
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_UNSTORABLE_CHARACTERS = re.compile("[\x00\ud800-\udfff]")


class ResultTooLargeError(ServiceError, ValueError):
    """A result has more bytes than the database takes."""


class UnstorableResultError(ServiceError, ValueError):
    """A result holds something that would not come back from a database as it was."""


def new_id() -> uuid.UUID:
    """Give a new id: a UUID of version 7 (RFC 9562), the time in milliseconds and then 74 random bits.

    Ordered by time to the millisecond, so that new rows land at one end of the index, and not to be guessed.
    """
    milliseconds = time.time_ns() // 1_000_000
    number = milliseconds << 80 | secrets.randbits(80)
    return uuid.UUID(int=number & ~(0xF << 76) & ~(0x3 << 62) | 0x7 << 76 | 0x2 << 62)


def parse_id(text: str) -> uuid.UUID | None:
    """Give the id that `new_id` gave as text; None for any other text: no other way to write it is taken."""
    return uuid.UUID(text) if _ID.fullmatch(text) else None


def encode_result(result_data: dict[str, Any], max_bytes: int) -> str:
    """Give a result as JSON.

    Tuples become lists, and subclasses of JSON's types, such as `IntEnum`, what they are based on. All else comes back
    from `decode_result` equal, also after PostgreSQL's JSONB had it.

    Args:
        result_data: The result.
        max_bytes: How many bytes the JSON may have in UTF-8.

    Raises:
        UnstorableResultError: With the place in the result, never with what is there.
        ResultTooLargeError: It has more bytes.
    """
    if not isinstance(result_data, dict):
        raise UnstorableResultError(f"a result is a dict, not of type {type(result_data).__name__}")
    pieces = _Pieces(max_bytes)
    try:
        _add_value(result_data, pieces, MAX_DEPTH)
    except _Unstorable as fault:
        raise UnstorableResultError(fault.told()) from None
    text = "".join(pieces.all)
    if not text.isascii() and len(text.encode()) > max_bytes:
        raise pieces.too_large()
    return text


def decode_result(text: str) -> dict[str, Any]:
    """Give the result that `encode_result` made JSON of.

    Raises:
        ServiceError: The text is no JSON object: something else wrote it.
    """
    try:
        result = json.loads(text)
    except (ValueError, RecursionError):
        result = None
    if not isinstance(result, dict):
        raise ServiceError("what the database holds under this id is no result: something else wrote it")
    return result


# Not json.dumps: it turns keys into strings, says of a fault neither where nor what, and writes 1e23 in a way that
# makes JSONB give back a whole number, which is another one.


class _Unstorable(Exception):  # noqa: N818 - never leaves this module
    """A fault, which learns its place on the way out: nobody pays for the place of what is right."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self._message = message
        self._path = ""

    def is_within(self, place: str | int) -> None:
        """Note the key or the index that it is under. A key that is no name is left out: it may be data."""
        if isinstance(place, int):
            self._path = f"[{place}]{self._path}"
        else:
            self._path = f".{place}{self._path}" if place.isidentifier() else f"[…]{self._path}"

    def told(self) -> str:
        return f"result{shortened(self._path, MAX_SHOWN)} {self._message}"


class _Pieces:
    """The JSON so far, which may not become too large: a small object can be a huge text."""

    def __init__(self, max_bytes: int) -> None:
        self.all: list[str] = []
        self._max_bytes = max_bytes
        self._left = max_bytes

    def add(self, piece: str) -> None:
        self._left -= len(piece)
        if self._left < 0:
            raise self.too_large()
        self.all.append(piece)

    def too_large(self) -> ResultTooLargeError:
        return ResultTooLargeError(
            f"the result has more than {self._max_bytes} bytes as JSON, which is what max_result_bytes allows"
        )


def _add_value(value: object, pieces: _Pieces, depth: int, before: str = "") -> None:
    """Add a value, and `before` it what leads up to it."""
    encode = _SCALARS.get(type(value))
    if encode is not None:
        pieces.add(before + encode(value))
    elif not isinstance(value, dict | list | tuple):
        pieces.add(before + _scalar_of_subclass(value))
    elif depth == 0:
        raise _Unstorable(f"has a value more than {MAX_DEPTH} levels deep")
    elif isinstance(value, dict):
        pieces.add(before)
        _add_object(value, pieces, depth - 1)
    else:
        pieces.add(before)
        _add_list(value, pieces, depth - 1)


def _add_object(members: dict[object, object], pieces: _Pieces, depth: int) -> None:
    before = "{"
    for key, value in members.items():
        if not isinstance(key, str):
            raise _Unstorable(f"has a key of type {type(key).__name__}; keys are strings")
        name = _text(key)
        try:
            _add_value(value, pieces, depth, f"{before}{name}:")
        except _Unstorable as fault:
            fault.is_within(key)
            raise
        before = ","
    pieces.add("}" if members else "{}")


def _add_list(items: list[object] | tuple[object, ...], pieces: _Pieces, depth: int) -> None:
    before = "["
    for index, item in enumerate(items):
        try:
            _add_value(item, pieces, depth, before)
        except _Unstorable as fault:
            fault.is_within(index)
            raise
        before = ","
    pieces.add("]" if items else "[]")


def _scalar_of_subclass(value: object) -> str:
    for kind in (str, int, float):
        if isinstance(value, kind):
            return _SCALARS[kind](value)
    raise _Unstorable(f"is of type {type(value).__name__}, which JSON has not; convert it first")


def _text(text: str) -> str:
    if _UNSTORABLE_CHARACTERS.search(text):
        raise _Unstorable("has a text with U+0000 or half a surrogate pair, which no database keeps; remove it")
    return quoted(text)


def _integer(number: int) -> str:
    try:
        return int.__repr__(number)
    except ValueError:  # more than sys.get_int_max_str_digits()
        raise _Unstorable("is a whole number of too many digits; keep it as a string") from None


def _decimal(number: float) -> str:
    if not math.isfinite(number):
        raise _Unstorable("is infinite or no number (NaN), which JSON has not; use None or a string")
    text = float.__repr__(number)
    # Written out and with its point, where it is large: see above.
    return f"{Decimal(text):f}.0" if "e+" in text else text


_SCALARS: dict[type, Callable[[Any], str]] = {
    str: _text,
    int: _integer,
    float: _decimal,
    bool: lambda value: "true" if value else "false",
    type(None): lambda _: "null",
}
