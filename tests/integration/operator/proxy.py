"""A TCP proxy on loopback that goes silent without a word, as networks do: connections stay, nothing passes."""

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
        """Forward nothing yet; entering begins."""
        self._document = json.loads(kubeconfig.read_text())
        address = urlsplit(self._document["clusters"][0]["cluster"]["server"])
        self._target = (address.hostname, address.port)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._sockets = [self._listening]
        self._gates: list[threading.Event] = []
        """Of each connection: open while it forwards."""
        self._lets_in = threading.Event()
        self._lets_in.set()

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
        self.mend()
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def stall(self) -> None:
        """Let nothing pass on the connections that there are; new ones work."""
        for gate in self._gates:
            gate.clear()

    def cut(self) -> None:
        """Let nothing pass from now on; what was sent into it arrives when it is mended."""
        self._lets_in.clear()
        self.stall()

    def mend(self) -> None:
        """Let pass again."""
        self._lets_in.set()
        for gate in self._gates:
            gate.set()

    def _start(self, work: Callable[..., None], *arguments: socket.socket | threading.Event) -> None:
        threading.Thread(target=work, args=arguments, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                self._lets_in.wait()
                server = socket.create_connection(self._target)
                gate = threading.Event()
                gate.set()
                self._gates.append(gate)
                self._sockets += [client, server]
                self._start(_forward, client, server, gate)
                self._start(_forward, server, client, gate)


def _forward(source: socket.socket, target: socket.socket, gate: threading.Event) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(_CHUNK):
            gate.wait()
            target.sendall(data)
    for each in (source, target):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
