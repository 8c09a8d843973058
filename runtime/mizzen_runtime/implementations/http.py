"""An external API over HTTP: one configured place to ask, and a guard for URLs from elsewhere (`http_guard`)."""

import asyncio
import base64
import json
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Self
from urllib.parse import urlencode

from mizzen_runtime.implementations.connecting import trusting
from mizzen_runtime.implementations.http_addresses import Network
from mizzen_runtime.implementations.http_client import HttpAnswer, HttpClient, HttpProxy
from mizzen_runtime.implementations.http_guard import (
    MAX_REDIRECTS,
    GuardedFetcher,
    Resolver,
    SourceRefusedError,
    redirect_of,
)
from mizzen_runtime.implementations.http_settings import HttpSettings, endpoint, parse_proxy
from mizzen_runtime.implementations.http_urls import Url, UrlError, parse_url
from mizzen_runtime.services import ServiceError, ServiceUnavailableError
from mizzen_runtime.trace_context import onward_headers

PASSING = frozenset({429, 500, 502, 503, 504})
"""Statuses after which the same may be asked again."""
FIRST_PAUSE = 0.1
"""Seconds before a request is sent again, half of it to all of it; twice as many each time."""
MAX_QUERY_LENGTH = 2000
"""Characters."""


class InvalidQueryError(ServiceError, ValueError):
    """A query is no text, or too long for a URL."""


class HttpExternalAPIService:
    """Asks one API, and tells which other URLs may be fetched. Each call has a deadline."""

    def __init__(
        self,
        base_url: str,
        *,
        method: str = "GET",
        path: str = "",
        query_parameter: str = "query",
        headers: Mapping[str, str] | None = None,
        call_timeout_seconds: float = 10.0,
        connect_timeout_seconds: float = 3.0,
        retries: int = 2,
        max_response_bytes: int = 5 * 1024 * 1024,
        pool_size: int = 10,
        ca_bundle: str | None = None,
        proxy: HttpProxy | None = None,
        health_path: str | None = None,
        allowed_hosts: Sequence[str] = (),
        allowed_networks: Sequence[Network] = (),
        resolver: Resolver | None = None,
    ) -> None:
        """Say where the API is; nothing is connected yet.

        Args:
            base_url: See `HttpSettings`, as for all that is not explained here.
            method: See there.
            path: See there.
            query_parameter: See there.
            headers: Sent to the API and nowhere else, such as `{"Authorization": "Bearer …"}`.
            call_timeout_seconds: See there.
            connect_timeout_seconds: See there.
            retries: See there.
            max_response_bytes: See there.
            pool_size: See there.
            ca_bundle: See there.
            proxy: See there.
            health_path: See there.
            allowed_hosts: See there.
            allowed_networks: See there.
            resolver: Looks up the names in URLs from elsewhere; None for the system's way.

        Raises:
            UrlError: `base_url` is no URL.
        """
        self._endpoint = endpoint(base_url, path)
        self._health_endpoint = endpoint(base_url, health_path or "")
        self._unhealthy_from = HTTPStatus.INTERNAL_SERVER_ERROR if health_path is None else HTTPStatus.BAD_REQUEST
        self._is_known = bool(headers)
        self._method = method
        self._query_parameter = query_parameter
        self._headers = {"Accept": "application/json", "User-Agent": "mizzen", **(headers or {})}
        self._timeout = call_timeout_seconds
        self._retries = retries if method == "GET" else 0
        self._ca_bundle = ca_bundle
        self._bounds: dict[str, Any] = {
            "pool_size": pool_size,
            "connect_timeout_seconds": connect_timeout_seconds,
            "proxy": proxy,
        }
        self._max_response_bytes = max_response_bytes
        self._rules: dict[str, Any] = {
            "allowed_hosts": allowed_hosts,
            "allowed_networks": allowed_networks,
            "resolver": resolver,
        }
        self._api: HttpClient | None = None
        self._elsewhere: GuardedFetcher | None = None
        self._is_closed = False

    @classmethod
    def from_settings(cls, settings: HttpSettings) -> Self:
        """Say where the API is; nothing is connected yet."""
        secrets = {"bearer_token", "username", "password", "header_name", "header_value", "proxy"}
        return cls(
            **settings.model_dump(exclude=secrets),
            headers=_authentication(settings),
            proxy=None if settings.proxy is None else parse_proxy(settings.proxy),
        )

    async def initialize(self) -> None:
        """Get ready. The API is not asked: whether it answers is `health_check`'s."""
        if self._api is None:
            trusted = await asyncio.to_thread(trusting, self._ca_bundle)
            self._api = HttpClient(trusted=trusted, max_bytes=self._max_response_bytes, **self._bounds)
            self._elsewhere = GuardedFetcher(
                trusted=trusted,
                call_timeout_seconds=self._timeout,
                max_response_bytes=self._max_response_bytes,
                **self._bounds,
                **self._rules,
            )

    async def fetch_data(self, query: str) -> dict[str, Any]:
        """Ask the API, and give the JSON object that it answers; an empty one for an answer without content (204).

        Raises:
            InvalidQueryError: The query is no text, or too long.
            ServiceUnavailableError: There was no answer, not in time, or one that says to come back later.
            SourceRefusedError: It redirects where it must not lead.
            ResponseTooLargeError: The answer is too large.
            ServiceError: The API refuses, or its answer is no JSON object.
        """
        url, content = self._request(query)
        try:
            async with asyncio.timeout(self._timeout) as deadline:
                answer = await self._ask(url, content, deadline)
        except TimeoutError:
            raise ServiceUnavailableError(
                f"{url.host} did not answer within {self._timeout:g} s (call_timeout_seconds)"
            ) from None
        return _object_of(answer, url.host)

    async def validate_source(self, source_url: str) -> bool:
        """Tell whether a URL may be fetched: http or https, of an allowed host, and leading to public addresses.

        Whoever fetches it checks again, with `GuardedFetcher`: names may stand for something else by then.
        """
        return await self._ready()[1].allows(source_url)

    async def health_check(self) -> bool:
        """Tell whether the API answers, within `call_timeout_seconds`, and takes the credentials if there are any."""
        try:
            async with asyncio.timeout(self._timeout):
                answer = await self._ready()[0].exchange("GET", self._health_endpoint, self._headers, with_body=False)
        except (ServiceError, TimeoutError):
            return False
        is_refused = self._is_known and answer.status == HTTPStatus.UNAUTHORIZED
        return answer.status < self._unhealthy_from and not is_refused

    async def close(self) -> None:
        """Refuse new calls, and close all connections; calls that run fail."""
        self._is_closed = True
        if self._api is not None and self._elsewhere is not None:
            await self._api.close()
            await self._elsewhere.close()

    def _ready(self) -> tuple[HttpClient, GuardedFetcher]:
        if self._is_closed:
            raise ServiceError("the service is closed")
        if self._api is None or self._elsewhere is None:
            raise ServiceError("the service is not initialised; await initialize() first")
        return self._api, self._elsewhere

    def _request(self, query: str) -> tuple[Url, bytes | None]:
        if not isinstance(query, str):
            raise InvalidQueryError(f"a query is a str, not of type {type(query).__name__}")
        if len(query) > MAX_QUERY_LENGTH:
            raise InvalidQueryError(f"the query has {len(query)} characters; give at most {MAX_QUERY_LENGTH}")
        try:
            if self._method == "POST":
                return self._endpoint, json.dumps({self._query_parameter: query}, ensure_ascii=False).encode()
            asked = urlencode({self._query_parameter: query})
        except UnicodeEncodeError:
            raise InvalidQueryError("the query holds half a surrogate pair, which UTF-8 has not; remove it") from None
        place = self._endpoint
        return Url(place.scheme, place.host, place.port, f"{place.target}?{asked}"), None

    async def _ask(self, url: Url, content: bytes | None, deadline: asyncio.Timeout) -> HttpAnswer:
        """Ask, and again after a failure that may pass, while there are retries and time left."""
        pause = FIRST_PAUSE
        for left in range(self._retries, -1, -1):
            try:
                return await self._follow(url, content)
            except ServiceUnavailableError as error:
                wait = pause * random.uniform(0.5, 1)  # noqa: S311 - to spread, not to hide
                wait = max(wait, error.retry_after or 0)
                if left == 0 or wait > (deadline.when() or 0) - asyncio.get_running_loop().time():
                    raise
            await asyncio.sleep(wait)
            pause *= 2
        raise AssertionError("the last turn returns or raises")

    async def _follow(self, url: Url, content: bytes | None) -> HttpAnswer:
        """Ask once, and follow redirects: within the API with its headers, elsewhere as the guard does and without."""
        api, elsewhere = self._ready()
        headers = {**onward_headers(), **self._headers}
        if content is not None:
            headers["Content-Type"] = "application/json"
        for _ in range(MAX_REDIRECTS + 1):
            answer = await api.exchange(self._method, url, headers, content)
            if self._method != "GET" or (following := redirect_of(answer, url)) is None:
                return _checked(answer, url.host)
            try:
                url = parse_url(following)
            except UrlError as error:
                raise SourceRefusedError(f"a redirect is refused: {error}") from None
            if url.origin != self._endpoint.origin:
                return _checked(await elsewhere.fetch(following, {"Accept": "application/json"}), url.host)
        raise ServiceError(f"{url.host} answers with more than {MAX_REDIRECTS} redirects")


def _checked(answer: HttpAnswer, host: str) -> HttpAnswer:
    if answer.status in PASSING:
        raise ServiceUnavailableError(f"{host} answers with status {answer.status}", retry_after=_retry_after(answer))
    return answer


def _retry_after(answer: HttpAnswer) -> float | None:
    """Give the seconds that an answer asks to wait; None if it says nothing that can be read."""
    text = answer.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdecimal():
        return float(text[:9])
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def _object_of(answer: HttpAnswer, host: str) -> dict[str, Any]:
    if answer.status in {401, 403}:
        raise ServiceError(f"{host} refuses the credentials (status {answer.status}); correct them in the Secret")
    if not 200 <= answer.status < 300:  # noqa: PLR2004 - what success is
        raise ServiceError(f"{host} answers with status {answer.status}")
    if answer.status == 204:  # noqa: PLR2004 - no content
        return {}
    try:
        answered = json.loads(answer.body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        answered = None
    if not isinstance(answered, dict):
        raise ServiceError(f"the answer of {host} is no JSON object")
    return answered


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _authentication(settings: HttpSettings) -> dict[str, str]:
    if settings.bearer_token is not None:
        return {"Authorization": f"Bearer {settings.bearer_token.get_secret_value()}"}
    if settings.username is not None and settings.password is not None:
        credentials = f"{settings.username}:{settings.password.get_secret_value()}".encode()
        return {"Authorization": f"Basic {base64.b64encode(credentials).decode()}"}
    if settings.header_name is not None and settings.header_value is not None:
        return {settings.header_name: settings.header_value.get_secret_value()}
    return {}
