"""Fetches URLs that come from a request or a model, which may want to lead where only this pod can go.

A URL is read in one strict way (`http_urls`), its host must be on the list if there is one, and every address that its
name stands for must be public (`http_addresses`). That is asked when the connection is opened, and the connection goes
to the address that was checked: a name that stands for something else a moment later is no way round. Each redirect is
a new URL. Through a proxy, which looks up names by itself, only the list counts, and there must be one.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final
from urllib.parse import urljoin

import httpcore2

from mizzen_runtime.implementations.connecting import trusting
from mizzen_runtime.implementations.http_addresses import Address, Network, fault_of_address, parse_address
from mizzen_runtime.implementations.http_client import HttpAnswer, HttpClient, HttpProxy
from mizzen_runtime.implementations.http_urls import Url, UrlError, parse_host, parse_url
from mizzen_runtime.services import ServiceError, ServiceUnavailableError

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""Gives the addresses of a host; an `OSError` if there are none. Tests put one of their own here."""

MAX_REDIRECTS: Final = 5
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
MAX_ADDRESSES: Final = 4
"""How many addresses of a host are tried."""
LOOKUP_THREADS: Final = 4
"""How many lookups run at once. They have threads of their own: a name server that never answers can hold up these, and
not the lookups of the rest of the process."""


class SourceRefusedError(ServiceError, ValueError):
    """A URL must not be fetched. The message says why, without the URL."""


class SystemResolver:
    """Looks up names as the system does."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(LOOKUP_THREADS, thread_name_prefix="lookup")

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """Give the addresses of a host.

        Raises:
            OSError: There are none.
        """
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(
            self._threads, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        )
        return list(dict.fromkeys(str(address[0]) for *_, address in found))

    def close(self) -> None:
        """End the threads, without waiting for a lookup."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def check_host_pattern(pattern: str) -> str:
    """Give a member of a list of hosts back: a name, an address, or `*.` and a name, for all names below it.

    Raises:
        ValueError: It is none.
    """
    try:
        name = pattern.removeprefix("*.")
        valid = parse_url(f"http://{name}/").host if name.startswith("[") else parse_host(name)
    except UrlError as error:
        raise ValueError(f"{pattern!r} is no host: {error}; write example.com or *.example.com") from None
    return f"*.{valid}" if pattern.startswith("*.") else valid


class SourceGuard:
    """Decides where a URL of unknown origin may lead."""

    def __init__(
        self,
        *,
        allowed_hosts: Iterable[str] = (),
        allowed_networks: Sequence[Network] = (),
        through_proxy: bool = False,
        resolver: Resolver,
    ) -> None:
        """Set the rules.

        Args:
            allowed_hosts: The only hosts that may be reached, such as `example.com` or `*.example.com`; none for all.
            allowed_networks: Networks that may be reached although they are not public, and only by `allowed_hosts`.
            through_proxy: Whether a proxy looks up the names.
            resolver: Looks up names.

        Raises:
            ValueError: What needs a list of hosts has none, or a host is none.
        """
        self._hosts = frozenset(check_host_pattern(host) for host in allowed_hosts)
        if not self._hosts and (through_proxy or allowed_networks):
            raise ValueError("allowed_hosts is empty, and a proxy or allowed_networks need it; name the hosts")
        self._networks = allowed_networks
        self._through_proxy = through_proxy
        self._resolver = resolver

    def check_form(self, url: str) -> Url:
        """Give what a URL says, if it may be fetched as far as can be told without asking the network.

        Raises:
            SourceRefusedError: It must not be fetched.
        """
        try:
            parsed = parse_url(url)
        except UrlError as error:
            raise SourceRefusedError(f"the URL is refused: {error}") from None
        if self._hosts and not self._is_listed(parsed.host):
            raise SourceRefusedError("the URL is refused: its host is not in allowed_hosts")
        if parsed.address is not None and not self._through_proxy:
            self._check_address(parsed.address)
        return parsed

    async def check(self, url: str) -> Url:
        """Give what a URL says, if it may be fetched as its host is looked up now.

        Raises:
            SourceRefusedError: It must not be fetched.
            ServiceUnavailableError: The host is unknown.
        """
        parsed = self.check_form(url)
        if not self._through_proxy:
            await self.addresses(parsed.host, parsed.port)
        return parsed

    async def addresses(self, host: str, port: int) -> Sequence[Address]:
        """Look up a host and give all its addresses, if each may be reached.

        Raises:
            SourceRefusedError: One must not be reached.
            ServiceUnavailableError: There are none.
        """
        try:
            found = [parse_address(host)]
        except ValueError:
            found = await self._look_up(host, port)
        if not found:
            raise ServiceUnavailableError("the URL's host cannot be resolved")
        for address in found:
            self._check_address(address)
        return found

    async def _look_up(self, host: str, port: int) -> list[Address]:
        try:
            return [parse_address(address) for address in await self._resolver(host, port)]
        except (OSError, UnicodeError):
            return []

    def _is_listed(self, host: str) -> bool:
        labels = host.split(".")
        above = (f"*.{'.'.join(labels[start:])}" for start in range(1, len(labels)))
        return host in self._hosts or any(pattern in self._hosts for pattern in above)

    def _check_address(self, address: Address) -> None:
        if (fault := fault_of_address(address, self._networks)) is not None:
            raise SourceRefusedError(f"the URL is refused: it leads to an address that is {fault}")


class PinnedBackend(httpcore2.AsyncNetworkBackend):
    """Opens connections to addresses that a guard has checked in the same moment."""

    def __init__(self, guard: SourceGuard) -> None:
        self._guard = guard
        self._plain = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the interface's
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the first address that lets us, each with an even share of the time."""
        try:
            async with asyncio.timeout(timeout):
                addresses = (await self._guard.addresses(host, port))[:MAX_ADDRESSES]
                share = None if timeout is None else timeout / len(addresses)
                for address in addresses[:-1]:
                    try:
                        return await self._plain.connect_tcp(str(address), port, share, local_address, socket_options)
                    except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                        continue
                return await self._plain.connect_tcp(str(addresses[-1]), port, timeout, local_address, socket_options)
        except TimeoutError:
            raise httpcore2.ConnectTimeout from None


class GuardedFetcher:
    """Fetches what URLs of unknown origin lead to, if they may be fetched.

    Example:
        fetcher = GuardedFetcher(allowed_hosts=["*.example.com"])
        answer = await fetcher.fetch(url)
        await fetcher.close()
    """

    def __init__(
        self,
        *,
        allowed_hosts: Iterable[str] = (),
        allowed_networks: Sequence[Network] = (),
        call_timeout_seconds: float = 10.0,
        connect_timeout_seconds: float = 3.0,
        max_response_bytes: int = 5 * 1024 * 1024,
        pool_size: int = 10,
        trusted: ssl.SSLContext | None = None,
        proxy: HttpProxy | None = None,
        resolver: Resolver | None = None,
    ) -> None:
        """Connect nothing yet.

        Args:
            allowed_hosts: See `SourceGuard`.
            allowed_networks: See `SourceGuard`.
            call_timeout_seconds: How long a fetch may take in all, with its redirects.
            connect_timeout_seconds: How long each connection may take until it is there, with the lookup.
            max_response_bytes: How many bytes a body may have, as it comes and decompressed.
            pool_size: How many connections there are at most; one more fetch waits.
            trusted: What certificates are checked with; None for the system's authorities, which are read at once.
            proxy: Through what it goes.
            resolver: Looks up names; None for the system's way.

        Raises:
            ValueError: What needs a list of hosts has none, or a host is none.
        """
        self._timeout = call_timeout_seconds
        self._system_resolver = SystemResolver()
        self._guard = SourceGuard(
            allowed_hosts=allowed_hosts,
            allowed_networks=allowed_networks,
            through_proxy=proxy is not None,
            resolver=resolver or self._system_resolver,
        )
        self._client = HttpClient(
            trusted=trusted or trusting(None),
            pool_size=pool_size,
            connect_timeout_seconds=connect_timeout_seconds,
            max_bytes=max_response_bytes,
            backend=PinnedBackend(self._guard) if proxy is None else None,
            proxy=proxy,
        )

    async def allows(self, url: str) -> bool:
        """Tell whether a URL may be fetched as its host is looked up now; an unknown host may not."""
        try:
            async with asyncio.timeout(self._timeout):
                await self._guard.check(url)
        except (ServiceError, TimeoutError):
            return False
        return True

    async def fetch(self, url: str, headers: Mapping[str, str] | None = None) -> HttpAnswer:
        """Get what a URL leads to, whatever the status.

        Args:
            url: Where to, of unknown origin.
            headers: To send; nothing secret, since redirects get them too.

        Raises:
            SourceRefusedError: It must not be fetched, or a redirect leads where it must not, or there are too many.
            ServiceUnavailableError: There was no answer, not in time, or it broke off.
            ResponseTooLargeError: It is too large.
            ServiceError: It cannot be decompressed.
        """
        try:
            async with asyncio.timeout(self._timeout):
                parsed = self._guard.check_form(url)
                for _ in range(MAX_REDIRECTS + 1):
                    answer = await self._client.exchange("GET", parsed, headers or {})
                    if (following := redirect_of(answer, parsed)) is None:
                        return answer
                    parsed = self._guard.check_form(following)
        except TimeoutError:
            raise ServiceUnavailableError(f"there was no answer within {self._timeout:g} s") from None
        raise SourceRefusedError(f"the URL leads through more than {MAX_REDIRECTS} redirects")

    async def close(self) -> None:
        """Close all connections, and end the threads that look up names."""
        await self._client.close()
        self._system_resolver.close()


def redirect_of(answer: HttpAnswer, url: Url) -> str | None:
    """Give where an answer redirects to; None if it does not.

    Raises:
        SourceRefusedError: It leads from https to http.
    """
    location = answer.headers.get("location")
    if answer.status not in REDIRECTS or location is None:
        return None
    try:
        following = urljoin(str(url), location)
    except ValueError:
        raise SourceRefusedError("a redirect is refused: where it leads cannot be read") from None
    if url.scheme == "https" and not following.lower().startswith("https:"):
        raise SourceRefusedError("a redirect is refused: it leads from https to http")
    return following
