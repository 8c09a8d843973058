"""A registry that takes pushes and keeps nothing but what was pushed; enough of the distribution API for that."""

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


class Registry(ThreadingHTTPServer):
    """The server; `manifests` holds the pushed manifests by "name:tag"."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.manifests: dict[str, bytes] = {}
        self.blobs: dict[str, bytes] = {}

    @property
    def address(self) -> str:
        """Host and port, as an image's name begins."""
        return f"127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Registry
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the standard library's name)
        pass

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _answer(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content_Length": "0", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def do_GET(self) -> None:
        self._answer(200 if self.path == "/v2/" else 404)

    def do_HEAD(self) -> None:
        found = self.server.blobs.get(self.path.rpartition("/")[2])
        if found is None:
            self._answer(404)
        else:
            self._answer(200, Content_Length=str(len(found)))

    def do_POST(self) -> None:
        self._body()
        self._answer(202, Location=f"{self.path.rstrip('/')}/{uuid.uuid4()}")

    def do_PATCH(self) -> None:
        self.server.blobs[self.path] = self._body()
        self._answer(202, Location=self.path)

    def do_PUT(self) -> None:
        body = self._body()
        if found := re.fullmatch(r"/v2/(.+)/manifests/(.+)", self.path):
            self.server.manifests[":".join(found.groups())] = body
        else:
            path, _, digest = self.path.partition("?digest=")
            self.server.blobs[digest.replace("%3A", ":")] = self.server.blobs.pop(path, b"") + body
        self._answer(201)


@contextmanager
def running_registry() -> Iterator[Registry]:
    """Run a registry on a free port of loopback."""
    with Registry() as registry:
        thread = Thread(target=registry.serve_forever, daemon=True)
        thread.start()
        try:
            yield registry
        finally:
            registry.shutdown()
            thread.join()
