"""A TCP proxy on loopback that can be cut off without a word, as a network is: connections stay, nothing passes."""

import contextlib
import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

_CHUNK = 65536


class Proxy:
    """Stands before the API server of a kubeconfig, and forwards connections to it while it is open."""

    def __init__(self, kubeconfig: Path) -> None:
        self._document = json.loads(kubeconfig.read_text())
        address = urlsplit(self._document["clusters"][0]["cluster"]["server"])
        self._target = (address.hostname, address.port)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._is_open = threading.Event()
        self._is_open.set()
        self._sockets = [self._listening]

    def write_kubeconfig(self, path: Path) -> Path:
        """Write a kubeconfig that goes through here; the API server's certificate is for loopback too."""
        server = f"https://127.0.0.1:{self._listening.getsockname()[1]}"
        self._document["clusters"][0]["cluster"]["server"] = server
        path.write_text(json.dumps(self._document))
        return path

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_open.set()
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def cut(self) -> None:
        """Let nothing pass from now on; what was sent into it arrives when it is mended."""
        self._is_open.clear()

    def mend(self) -> None:
        """Let pass again."""
        self._is_open.set()

    def _start(self, work: Callable[..., None], *arguments: socket.socket) -> None:
        threading.Thread(target=work, args=arguments, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                self._is_open.wait()
                server = socket.create_connection(self._target)
                self._sockets += [client, server]
                self._start(self._forward, client, server)
                self._start(self._forward, server, client)

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK):
                self._is_open.wait()
                target.sendall(data)
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
