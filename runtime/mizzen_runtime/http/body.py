"""Reads and checks the bodies of `POST /v1/run` and `POST /v1/batch`."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, create_model
from pydantic_core import PydanticCustomError, from_json, to_json

from mizzen_api.problems import Problem, path_of, problems_of
from mizzen_runtime.agent.failures import AGENT_FAILED
from mizzen_runtime.errors import Outcome, RunError
from mizzen_runtime.http.asgi import CLOSE, Receive, Scope
from mizzen_runtime.http.problem import ProblemDetails, RequestRefused, plain_problem

_MAX_UNKNOWN_TOLD = 10
_CLOSE = [CLOSE]
"""For an answer to a body that is not read: what is left of it must not be waited for."""
_EXAMPLE = 'send an object such as {"input": "Hello"}'


class ClientGone(Exception):  # noqa: N818 - an event rather than an error
    """The client closed the connection."""


def _text_or_object(value: object) -> object:
    # Said here, because a union would complain once for each of its members.
    if not isinstance(value, str | dict):
        raise PydanticCustomError("input_type", "must be a text or a JSON object")
    if not value or (isinstance(value, str) and value.isspace()):
        raise PydanticCustomError("input_empty", "is empty")
    if isinstance(value, dict):
        try:
            json.dumps(value, allow_nan=False)
        except ValueError as error:
            # 1e400 is read as Infinity, which no JSON has.
            raise PydanticCustomError("input_number", "holds a number that is too large") from error
    return value


class ItemBody(BaseModel):
    """One item of a batch. Of a key that is given twice, the last value counts."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    input: Annotated[str | dict[str, Any], BeforeValidator(_text_or_object)]
    """In `BodyKinds` of own code: what it has as its type for it."""


class RunBody(ItemBody):
    """What a caller sends to be answered by itself."""

    stream: bool = False


class BatchBody(BaseModel):
    """What a caller sends as one JSON. Each item is checked by itself, since one that is wrong spoils no other."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    requests: list[Any]


@dataclass(frozen=True)
class BodyKinds:
    """What bodies must look like, by what the agent takes as its input."""

    run: type[RunBody] = RunBody
    item: type[ItemBody] = ItemBody

    @classmethod
    def of(cls, input_type: type[BaseModel]) -> "BodyKinds":
        """Give those of own code with a type for its input."""
        own: Any = (input_type, ...)
        return cls(
            create_model("RunBody", __base__=RunBody, input=own), create_model("ItemBody", __base__=ItemBody, input=own)
        )


Kind = TypeVar("Kind", bound=BaseModel)


async def read_run_body(scope: Scope, receive: Receive, limit: int, kind: type[RunBody] = RunBody) -> RunBody:
    """Read and check the body of `POST /v1/run`.

    Args:
        scope: The request.
        receive: Where its body comes from.
        limit: Bytes that it may have, counted as they arrive.
        kind: What it must look like.

    Raises:
        RequestRefused: It is of another type than JSON, too large, no JSON, or has wrong fields.
        ClientGone: The client left while sending.
    """
    if content_type_of(scope) not in {b"", b"application/json"}:
        raise RequestRefused(plain_problem(415, "send the body as content-type: application/json", headers=_CLOSE))
    return parsed(await read_body(scope, receive, limit), kind)


def content_type_of(scope: Scope) -> bytes:
    """Give the type of a body, without its parameters; empty if it is not said."""
    return header_of(scope, b"content-type").partition(b";")[0].strip().lower()


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """Read a body.

    Raises:
        RequestRefused: It is larger than `limit` bytes.
        ClientGone: The client left while sending.
    """
    declared = header_of(scope, b"content-length")
    if declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


def parsed(body: bytes, kind: type[Kind]) -> Kind:
    """Read a body as JSON, and check it.

    Raises:
        RequestRefused: It is no JSON, or has wrong fields.
        RunError: Own code's type failed over it.
    """
    try:
        value = from_json(body, allow_inf_nan=False)  # also refuses what is nested more than 200 deep
    except ValueError as error:
        detail = f"the body is no JSON; {_EXAMPLE}"
        raise RequestRefused(ProblemDetails(400, "not-json", "The body is no JSON", detail)) from error
    return checked(value, kind)


def checked(value: object, kind: type[Kind]) -> Kind:
    """Check what was read of a JSON.

    Raises:
        RequestRefused: It has wrong fields.
        RunError: Own code's type failed over it.
    """
    if not isinstance(value, dict):
        raise RequestRefused(_invalid((Problem(field="", message="must be a JSON object", remedy=_EXAMPLE),)))
    # Told here, because pydantic would take a second for a body of nothing but unknown fields.
    known = {name: value.pop(name) for name in kind.model_fields if name in value}
    unknown = tuple(_unknown(value))
    try:
        body = _validated(known, kind)
    except ValidationError as error:
        raise RequestRefused(_invalid((*problems_of(error), *unknown))) from error
    if unknown:
        raise RequestRefused(_invalid(unknown))
    return body


def _validated(value: dict[str, Any], kind: type[Kind]) -> Kind:
    if kind in _OURS:
        return kind.model_validate(value)
    # Own types may be strict, and a date then is a text in JSON alone.
    written = to_json(value, inf_nan_mode="constants")
    try:
        return kind.model_validate_json(written)
    except ValidationError:
        raise
    except Exception as error:  # a validator of own code raised what is no verdict
        raise RunError(Outcome.AGENT_FAILED, AGENT_FAILED) from error


_OURS = (RunBody, ItemBody, BatchBody)


def _unknown(fields: Mapping[str, object]) -> Iterator[Problem]:
    remedy = "remove it, or correct its spelling"
    for name in islice(fields, _MAX_UNKNOWN_TOLD):
        yield Problem(field=path_of((name,)), message="unknown field", remedy=remedy)
    if (more := len(fields) - _MAX_UNKNOWN_TOLD) > 0:
        yield Problem(field="", message=f"{more} more unknown fields", remedy="remove them")


def _invalid(problems: tuple[Problem, ...]) -> ProblemDetails:
    count = len(problems)
    return ProblemDetails(
        status=422,
        code="invalid-request",
        title="The request has problems",
        detail=f"{count} problem{'s' if count > 1 else ''} in the body; `errors` names each with its remedy",
        errors=[
            {"field": problem.field or "body", "message": problem.message, "remedy": problem.remedy}
            for problem in problems
        ],
    )


def _too_large(limit: int) -> RequestRefused:
    detail = f"a body may have {limit} bytes"
    return RequestRefused(ProblemDetails(413, "body-too-large", "The body is too large", detail, headers=_CLOSE))


def line_too_long(limit: int) -> RequestRefused:
    """Give the answer for a line of more than `limit` bytes."""
    detail = f"a line may have {limit} bytes"
    return RequestRefused(ProblemDetails(413, "body-too-large", "The line is too large", detail))


def too_slow(seconds: float) -> RequestRefused:
    """Give the answer for a body that is not whole after `seconds`."""
    detail = f"the body was not complete after {seconds:g} seconds"
    return RequestRefused(plain_problem(408, detail, headers=_CLOSE))


def header_of(scope: Scope, name: bytes) -> bytes:
    """Give the first header of this name; empty if there is none."""
    return next((value for key, value in scope["headers"] if key == name), b"")
