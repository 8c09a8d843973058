"""A real HTTP API in a process of its own, which tests can kill, freeze and start again on the same port."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psutil

from tests.support.redis import free_port
from tests.support.waiting import wait_for


class EchoApi:
    """Answers each query with itself, to whoever has one of its tokens."""

    def __init__(self, folder: Path, *tokens: str) -> None:
        """Start it, and wait until it listens.

        Args:
            folder: Where it notes its tokens.
            tokens: Those that it takes.
        """
        self.port = free_port()
        self._tokens = folder / "tokens"
        self._process: subprocess.Popen[bytes] | None = None
        self.take(*tokens)
        self.start()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def take(self, *tokens: str) -> None:
        """Take these tokens and no others from now on."""
        new = self._tokens.with_name("tokens.new")
        new.write_text(json.dumps(tokens))
        new.rename(self._tokens)

    def start(self) -> None:
        """Start it again."""
        command = [sys.executable, "-m", "tests.support.echo_api", str(self.port), str(self._tokens)]
        self._process = subprocess.Popen(command)
        wait_for(self._listens, "the API listens", interval=0.02)

    def connections(self) -> int:
        """Count its connections, as the kernel knows them."""
        found = psutil.net_connections("tcp4")
        return sum(each.laddr[1:] == (self.port,) and each.status == psutil.CONN_ESTABLISHED for each in found)

    def kill(self) -> None:
        """End it as a crash does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(20)
        self._process = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let it answer nothing, until the block ends; the kernel goes on accepting for it."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End it, whatever state it is in."""
        if self._process is not None:
            self.kill()

    def _listens(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError("the API has ended; see its error above")
        found = psutil.Process(self._process.pid).net_connections("tcp4")
        return any(each.laddr[1:] == (self.port,) and each.status == psutil.CONN_LISTEN for each in found)


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    tokens: Path

    def handle_error(self, request: object, client_address: object) -> None:
        """Keep quiet about clients that leave before they have their answer."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        token = self.headers.get("authorization", "").removeprefix("Bearer ")
        query = parse_qs(urlsplit(self.path).query).get("query", [""])[0]
        known = token in json.loads(self.server.tokens.read_text())
        answer = json.dumps({"echo": query, "token": token} if known else {}).encode()
        self.send_response(200 if known else 401)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        """Keep quiet."""


if __name__ == "__main__":
    _Server.tokens = Path(sys.argv[2])
    _Server(("127.0.0.1", int(sys.argv[1])), _Handler).serve_forever()
