"""A real Redis on loopback, which tests can stop, kill, freeze and count."""

import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.waiting import wait_for


def free_port() -> int:
    """Give a port on which nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class RedisServer:
    """One server, with nothing on disk but what it is told to save."""

    def __init__(self, folder: Path, *options: str, port: int | None = None) -> None:
        """Start a server, and wait until it answers.

        Args:
            folder: Where its files are.
            options: More of its configuration, such as `--maxmemory`, `1mb`.
            port: Where it listens with TLS, if that is what the options say; else it is chosen.
        """
        self.folder = folder
        self.port = port or free_port()
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start it again, on the same port and without what it held."""
        plain = [] if "--port" in self._options else ["--port", str(self.port)]
        self._process = subprocess.Popen(
            [
                *("redis-server", "--bind", "127.0.0.1", *plain, "--dir", str(self.folder)),
                *("--save", "", "--appendonly", "no", "--daemonize", "no", "--logfile", str(self.folder / "log")),
                *("--unixsocket", str(self.socket), *self._options),
            ],
            stdout=subprocess.DEVNULL,
        )
        wait_for(lambda: self.answer("PING") in {"PONG", "NOAUTH"}, "redis-server answers", interval=0.02)

    @property
    def socket(self) -> Path:
        """A socket on which it answers to tests, whatever it wants of others."""
        return self.folder / "socket"

    def answer(self, *words: str | int) -> str:
        """Give the first word of the answer to a command, over a connection of its own."""
        lines = self.lines(*words)
        return lines[0].lstrip("+-:").split(" ")[0] if lines else ""

    def lines(self, *words: str | int) -> Sequence[str]:
        """Give the lines of the answer to a command, with what the protocol puts before each."""
        command = f"*{len(words)}\r\n" + "".join(f"${len(str(word).encode())}\r\n{word}\r\n" for word in words)
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            try:
                connection.connect(str(self.socket))
                connection.sendall(command.encode() + b"*1\r\n$4\r\nQUIT\r\n")
            except OSError as error:
                raise AssertionError(f"redis-server does not listen: {error}") from error
            answer = b""
            while received := connection.recv(65536):
                answer += received
        return answer.decode("utf-8", "replace").split("\r\n")[:-2]

    def clients(self) -> int:
        """Count the connections over TCP or TLS."""
        return sum(f" laddr=127.0.0.1:{self.port} " in line for line in self.lines("CLIENT", "LIST", "TYPE", "normal"))

    def wait_for_clients(self, count: int) -> None:
        """Wait until there are so many connections, and no others: the server may notice an end a moment later."""
        wait_for(lambda: self.clients() == count, f"{count} clients", seconds=10)

    def kill(self) -> None:
        """End it as a crash does."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it as an administrator does."""
        self._end(signal.SIGTERM)

    def freeze(self) -> None:
        """Let it accept and answer nothing; the kernel goes on accepting for it."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let it accept and answer nothing until the block ends."""
        self.freeze()
        try:
            yield
        finally:
            self.thaw()

    def close(self) -> None:
        """End it, whatever state it is in."""
        if self._process is not None:
            self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(how)
        self._process.wait(timeout=20)
        self._process = None
