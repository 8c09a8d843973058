"""The few HTTP calls that tests make."""

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    text: str

    def json(self) -> Any:
        """Give the body as JSON."""
        return json.loads(self.text)


def call(url: str, body: object = None, *, method: str | None = None, seconds: float = 60) -> Answer:
    """Send a request, as JSON if there is a body, and give the answer whatever its status is."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers={"Content-Type": "application/json"})  # noqa: S310 - tests call their own servers
    try:
        with _OPENER.open(request, timeout=seconds) as response:
            return Answer(response.status, dict(response.headers.items()), response.read().decode())
    except urllib.error.HTTPError as error:
        return Answer(error.code, dict(error.headers.items()), error.read().decode())
