"""Problem details as RFC 9457 has them: the one form in which this server says no."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from mizzen_runtime.http.asgi import Headers, Send, respond

CONTENT_TYPE = b"application/problem+json"
_TYPE = "urn:mizzen:problem:"


@dataclass(frozen=True)
class ProblemDetails:
    """What went wrong with one request."""

    status: int
    """HTTP status."""
    code: str
    """Names the kind of problem, such as `model-unavailable`; the last part of `type`."""
    title: str
    """The kind in words, the same each time."""
    detail: str
    """This occurrence in words; never an exception's text."""
    request_id: str | None = None
    """The request that it is about."""
    errors: Iterable[Mapping[str, str]] = ()
    """What is wrong in the request, each with field, message and remedy."""
    members: Mapping[str, object] = field(default_factory=dict)
    """What else this kind of problem tells, by name."""
    headers: Headers = field(default_factory=list)
    """What goes into the response's headers."""

    def as_dict(self) -> dict[str, object]:
        """Give its members."""
        members: dict[str, object] = {
            "type": _TYPE + self.code,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }
        if self.request_id is not None:
            members["request_id"] = self.request_id
        if errors := [dict(error) for error in self.errors]:
            members["errors"] = errors
        return {**members, **self.members}

    def as_part(self) -> dict[str, object]:
        """Give its members as a part of an answer, which has no headers of its own: `Retry-After` becomes a member."""
        after = dict(self.headers).get(b"retry-after")
        return self.as_dict() if after is None else {**self.as_dict(), "retry_after": int(after)}

    def to_json(self) -> bytes:
        """Give the body."""
        return json.dumps(self.as_dict(), ensure_ascii=False).encode()

    async def send(self, send: Send) -> None:
        """Answer with it."""
        await respond(send, self.status, self.to_json(), CONTENT_TYPE, self.headers)


class RequestRefused(Exception):  # noqa: N818 - it carries the answer
    """What was sent cannot become a request; the answer is in `details`."""

    def __init__(self, details: ProblemDetails) -> None:
        super().__init__(details.title)
        self.details = details


def plain_problem(
    status: int, detail: str, *, request_id: str | None = None, headers: Headers | None = None
) -> ProblemDetails:
    """Give the problem that says no more than its HTTP status does."""
    phrase = HTTPStatus(status).phrase
    return ProblemDetails(
        status=status,
        code=phrase.lower().replace(" ", "-"),
        title=phrase,
        detail=detail,
        request_id=request_id,
        headers=headers or [],
    )
