"""Reads and checks the body of `POST /v1/run`."""

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator
from pydantic_core import PydanticCustomError, from_json

from mizzen_api.problems import Problem, path_of, problems_of
from mizzen_runtime.http.asgi import CLOSE, Receive, Scope
from mizzen_runtime.http.problem import ProblemDetails, RequestRefused, plain_problem

_MAX_UNKNOWN_TOLD = 10
_CLOSE = [CLOSE]
"""For an answer to a body that is not read: what is left of it must not be waited for."""
_EXAMPLE = 'send an object such as {"input": "Hello"}'


class ClientGone(Exception):  # noqa: N818 - an event rather than an error
    """The client closed the connection."""


class RunBody(BaseModel):
    """What a caller may send. Of a key that is given twice, the last value counts."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    input: str | dict[str, Any]
    stream: bool = False

    @field_validator("input", mode="before")
    @classmethod
    def _text_or_object(cls, value: object) -> object:
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


async def read_run_body(scope: Scope, receive: Receive, limit: int) -> RunBody:
    """Read and check a body.

    Args:
        scope: The request.
        receive: Where its body comes from.
        limit: Bytes that it may have, counted as they arrive.

    Raises:
        RequestRefused: It is of another type than JSON, too large, no JSON, or has wrong fields.
        ClientGone: The client left while sending.
    """
    content_type = _header(scope, b"content-type").partition(b";")[0].strip().lower()
    if content_type and content_type != b"application/json":
        raise RequestRefused(plain_problem(415, "send the body as content-type: application/json", headers=_CLOSE))
    return _parse(await _read(scope, receive, limit))


async def _read(scope: Scope, receive: Receive, limit: int) -> bytes:
    declared = _header(scope, b"content-length")
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


def _parse(body: bytes) -> RunBody:
    try:
        value = from_json(body, allow_inf_nan=False)  # also refuses what is nested more than 200 deep
    except ValueError as error:
        detail = f"the body is no JSON; {_EXAMPLE}"
        raise RequestRefused(ProblemDetails(400, "not-json", "The body is no JSON", detail)) from error
    if not isinstance(value, dict):
        raise RequestRefused(_invalid((Problem(field="", message="must be a JSON object", remedy=_EXAMPLE),)))
    # Told here, because pydantic would take a second for a body of nothing but unknown fields.
    known = {name: value.pop(name) for name in RunBody.model_fields if name in value}
    unknown = tuple(_unknown(value))
    try:
        run_body = RunBody.model_validate(known)
    except ValidationError as error:
        raise RequestRefused(_invalid((*problems_of(error), *unknown))) from error
    if unknown:
        raise RequestRefused(_invalid(unknown))
    return run_body


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


def too_slow(seconds: float) -> RequestRefused:
    """Give the answer for a body that is not whole after `seconds`."""
    detail = f"the body was not complete after {seconds:g} seconds"
    return RequestRefused(plain_problem(408, detail, headers=_CLOSE))


def _header(scope: Scope, name: bytes) -> bytes:
    return next((value for key, value in scope["headers"] if key == name), b"")
