"""Asks a pod for its state over HTTP, as one asks a stranger: whoever builds an image decides what it answers."""

from types import TracebackType
from typing import Self

import aiohttp

from mizzen_api.names import MANAGEMENT_PORT, STATE_PATH

READ_SECONDS = 1.0
"""Bound on one reading, connecting included."""
MAX_BYTES = 65536
"""What an answer may have: dozens of services, and what is wrong with each."""
_OK = 200


class StateUnreadableError(Exception):
    """A pod's state could not be had; the message says why."""


class StateClient:
    """Reads `GET /state` of pods. Enter it where it is used."""

    def __init__(self, connections: int, *, port: int = MANAGEMENT_PORT, seconds: float = READ_SECONDS) -> None:
        """Prepare.

        Args:
            connections: How many there are at once; each is for one reading, since thousands of pods are read, seldom.
            port: Where the pods answer.
            seconds: Bound on one reading.
        """
        self._connections = connections
        self._port = port
        self._timeout = aiohttp.ClientTimeout(total=seconds)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open the session: through no proxy, without cookies, and nothing is unpacked that may be a bomb."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections, force_close=True),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            headers={"Accept": "application/json", "Accept-Encoding": "identity"},
            timeout=self._timeout,
            trust_env=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the session."""
        if self._session is not None:
            await self._session.close()

    async def read(self, address: str) -> bytes:
        """Give what a pod answers.

        Args:
            address: The pod's, IPv4 or IPv6.

        Raises:
            StateUnreadableError: There was no answer in time, or another one than a state in a few KB.
        """
        if self._session is None:
            raise RuntimeError("the client is not entered")
        host = f"[{address}]" if ":" in address else address
        try:
            async with self._session.get(f"http://{host}:{self._port}{STATE_PATH}", allow_redirects=False) as answer:
                if answer.status != _OK:
                    raise StateUnreadableError(f"HTTP {answer.status}")
                return await _body(answer)
        except TimeoutError as error:
            raise StateUnreadableError(f"no answer within {self._timeout.total:g} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise StateUnreadableError(str(error) or type(error).__name__) from error


async def _body(answer: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for piece in answer.content.iter_any():
        body += piece
        if len(body) > MAX_BYTES:
            raise StateUnreadableError(f"the answer has more than {MAX_BYTES} bytes")
    return bytes(body)
