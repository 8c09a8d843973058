"""One HTTP exchange, bounded in size: what is trusted and what is guarded both go through here.

On httpcore, the layer below httpx that pydantic-ai has in the process anyway: it lets the connection be opened by a
backend of our own, to the very address that was checked, and goes on to use the URL's host for TLS and `Host`. httpx
has no such argument, and what it adds (redirects, decoding, environment's proxies) is what must be bounded here.
"""

import ssl
import zlib
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass

import httpcore2

from mizzen_runtime.implementations.connecting import fault_of
from mizzen_runtime.implementations.http_urls import Url
from mizzen_runtime.services import ServiceError, ServiceUnavailableError

KEEPALIVE_SECONDS = 15.0
"""How long an idle connection is kept: shorter than servers do, so that it is not closed under a request."""


class ResponseTooLargeError(ServiceError, ValueError):
    """An answer has more bytes than may be, as it came or decompressed."""


@dataclass(frozen=True)
class HttpAnswer:
    """An answer, whatever its status."""

    url: str
    """Whose answer it is: the last URL, if there were redirects."""
    status: int
    """The status."""
    headers: Mapping[str, str]
    """By name in lower case; of several, the last."""
    body: bytes
    """The body, decompressed."""


@dataclass(frozen=True)
class HttpProxy:
    """A proxy for all connections."""

    url: Url
    """Where it is."""
    credentials: tuple[str, str] | None = None
    """User name and password."""


class HttpClient:
    """Sends requests over a bounded number of connections."""

    def __init__(
        self,
        *,
        trusted: ssl.SSLContext,
        pool_size: int,
        connect_timeout_seconds: float,
        max_bytes: int,
        backend: httpcore2.AsyncNetworkBackend | None = None,
        proxy: HttpProxy | None = None,
    ) -> None:
        """Connect nothing yet.

        Args:
            trusted: What certificates are checked with.
            pool_size: How many connections there are at most; one more request waits.
            connect_timeout_seconds: How long connecting may take. There is no other limit of time here.
            max_bytes: How many bytes a body may have, as it comes and decompressed.
            backend: What opens connections; None for the usual way.
            proxy: Through what they go.
        """
        self._connect_timeout = connect_timeout_seconds
        self._max_bytes = max_bytes
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=trusted,
            max_connections=pool_size,
            max_keepalive_connections=pool_size,
            keepalive_expiry=KEEPALIVE_SECONDS,
            network_backend=backend,
            proxy=None
            if proxy is None
            else httpcore2.Proxy(
                _core_url(proxy.url),
                auth=proxy.credentials,
                ssl_context=trusted if proxy.url.scheme == "https" else None,
            ),
        )

    async def exchange(
        self, method: str, url: Url, headers: Mapping[str, str], content: bytes | None = None, *, with_body: bool = True
    ) -> HttpAnswer:
        """Send a request and give the answer; redirects are not followed.

        Args:
            method: Such as `GET`.
            url: Where to.
            headers: Beside those for the host, lengths and encodings.
            content: The request's body.
            with_body: Whether the answer's body is read.

        Raises:
            ServiceUnavailableError: There was no answer, or it broke off.
            ResponseTooLargeError: It is too large.
            ServiceError: It cannot be decompressed.
        """
        sent = [("Host", url.authority), ("Accept-Encoding", "gzip"), *headers.items()]
        try:
            async with self._pool.stream(
                method,
                _core_url(url),
                headers=sent,
                content=content,
                extensions={"timeout": {"connect": self._connect_timeout}},
            ) as response:
                got = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
                body = await self._body(response, got) if with_body else b""
        except httpcore2.ProxyError:
            raise ServiceUnavailableError(
                "the proxy refuses the connection; see its rules and the credentials"
            ) from None
        except httpcore2.TimeoutException:
            raise ServiceUnavailableError(f"{url.host} cannot be reached within connect_timeout_seconds") from None
        except (httpcore2.NetworkError, httpcore2.ProtocolError) as error:
            raise ServiceUnavailableError(f"{url.host} cannot be reached: {fault_of(error)}") from None
        return HttpAnswer(str(url), response.status, got, body)

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.aclose()

    async def _body(self, response: httpcore2.Response, headers: Mapping[str, str]) -> bytes:
        encoding = headers.get("content-encoding", "identity").strip().lower()
        if encoding not in {"identity", "gzip", "x-gzip"}:
            raise ServiceError("the answer is compressed in a way that was not asked for")
        body = _Gzip(self._max_bytes) if encoding != "identity" else _Plain(self._max_bytes)
        left = self._max_bytes
        async with aclosing(response.aiter_stream()) as chunks:
            async for chunk in chunks:
                left -= len(chunk)
                if left < 0:
                    raise _too_large(self._max_bytes)
                body.add(chunk)
        return body.end()


def _core_url(url: Url) -> httpcore2.URL:
    port = None if url.has_default_port else url.port
    return httpcore2.URL(scheme=url.scheme.encode(), host=url.host.encode(), port=port, target=url.target.encode())


def _too_large(max_bytes: int) -> ResponseTooLargeError:
    return ResponseTooLargeError(f"the answer has more than {max_bytes} bytes, which is what max_response_bytes allows")


class _Plain:
    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._body = bytearray()

    def add(self, chunk: bytes) -> None:
        self._body += chunk

    def end(self) -> bytes:
        return bytes(self._body)


class _Gzip(_Plain):
    """Decompresses no more than is allowed: a kilobyte can stand for a megabyte."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(max_bytes)
        self._inflate = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        self._has_begun = False

    def add(self, chunk: bytes) -> None:
        self._has_begun = True
        try:
            self._body += self._inflate.decompress(chunk, self._max_bytes - len(self._body) + 1)
        except zlib.error:
            raise ServiceError("the answer cannot be decompressed") from None
        if len(self._body) > self._max_bytes:
            raise _too_large(self._max_bytes)
        if self._inflate.unused_data:
            raise ServiceError("the answer goes on after its compressed part")

    def end(self) -> bytes:
        if self._has_begun and not self._inflate.eof:
            raise ServiceUnavailableError("the answer broke off")
        return super().end()
