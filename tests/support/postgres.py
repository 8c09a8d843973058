"""A real PostgreSQL on the loopback, in a folder of its own, as a user without rights; tests break it as they like."""

import atexit
import functools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil

from tests.support.small_disk import SmallDisk, small_disk
from tests.support.waiting import wait_for

ADMIN = "admin"
PASSWORD = "p@ss/w?rd#1%"
"""The administrator's: with what must be quoted in a connection string."""
DATABASE = "results"
START_SECONDS = 60
STOP_SECONDS = 60


class PostgresServer:
    """One server, with its administrator and one database."""

    def __init__(self, primary: "PostgresServer | None" = None) -> None:
        """Start one; as a replica if there is a primary."""
        self.folder = Path(tempfile.mkdtemp(prefix="mizzen-postgres-"))
        self._user = _user_without_rights()
        if self._user is not None:
            shutil.chown(self.folder, self._user)
        self.port = _free_port()
        self._options: dict[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._log = self.folder / "log"
        if primary is None:
            subprocess.run(["cp", "--archive", _template(self._user), self._data], check=True)
            self.start()
            self.sql(f"CREATE DATABASE {DATABASE}", database="postgres")
        else:
            source = ["--host=127.0.0.1", f"--port={primary.port}", f"--username={ADMIN}", "--checkpoint=fast"]
            self._run("pg_basebackup", *source, f"--pgdata={self._data}", "--write-recovery-conf", PGPASSWORD=PASSWORD)
            self.start()

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def url(self) -> str:
        """Connection string of the administrator, in plain text over the loopback."""
        return self.url_of(ADMIN, PASSWORD)

    def url_of(self, user: str, password: str, host: str = "127.0.0.1", tls_mode: str | None = "disable") -> str:
        """Give the connection string of a user."""
        mode = f"?sslmode={tls_mode}" if tls_mode else ""
        return f"postgresql://{user}:{quote(password, safe='')}@{host}:{self.port}/{DATABASE}{mode}"

    # What a test asks of it

    def sql(self, statement: str, database: str = DATABASE) -> str:
        """Run a statement as the administrator, and give the first column's values, one a line."""
        done = self._run(
            *("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(self.port), "-U", ADMIN),
            *("-d", database, "-c", statement),
            PGPASSWORD=PASSWORD,
        )
        return done.strip()

    def create_user(self, user: str, password: str) -> None:
        """Make a user who may do all with what is its own, and with the public schema."""
        self.sql(f"CREATE USER {user} PASSWORD '{password}'")
        self.sql(f"GRANT ALL ON SCHEMA public TO {user}")

    def connections(self, user: str = ADMIN) -> int:
        """Count the connections of services as a user."""
        return self.sql("SELECT usename FROM pg_stat_activity WHERE application_name = 'mizzen'").split().count(user)

    def end_connections(self) -> int:
        """Have the server end the connections of services, and count them."""
        ended = self.sql(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'mizzen'"
        )
        return int(ended)

    @contextmanager
    def locked(self, table: str) -> Iterator[None]:
        """Keep everybody else from writing to a table."""
        with self.session() as psql:
            psql.run(f"BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE;")
            yield

    @contextmanager
    def session(self) -> Iterator["Session"]:
        """A session of the administrator that ends with the block."""
        session = Session(self)
        try:
            yield session
        finally:
            session.close()

    def log(self) -> str:
        """Give what the server has logged."""
        return self._log.read_text()

    # What a test does to it

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [_binary("postgres"), "-D", str(self._data), *self._arguments()],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                **_as_user(self._user),
            )
        wait_for(self._answers, "PostgreSQL answers", seconds=START_SECONDS)

    def stop(self, mode: signal.Signals = signal.SIGINT) -> None:
        """Stop it: SIGINT ends connections, SIGTERM waits for them, SIGQUIT leaves recovery to the next start."""
        if self._process is not None:
            self._process.send_signal(mode)
            self._ended()

    def restart(self, **options: str) -> None:
        """Stop it and start it with other settings."""
        self.stop()
        self._options |= options
        self.start()

    def kill(self) -> None:
        """Kill all its processes at once."""
        processes = self._processes()
        for process in processes:
            with suppress(psutil.NoSuchProcess):  # some end with the first
                process.kill()
        wait_for(
            lambda: not any(_is_alive(process) for process in processes), "its processes end", seconds=STOP_SECONDS
        )
        self._ended()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop all its processes in mid-air, until the block ends."""
        processes = self._processes()
        for process in processes:  # the one that starts others comes first
            with suppress(psutil.NoSuchProcess):
                process.suspend()
        try:
            yield
        finally:
            for process in processes:
                with suppress(psutil.NoSuchProcess):
                    process.resume()

    def speak_tls(self, certificate: Path, key: Path) -> None:
        """Turn TLS on with a certificate, and restart."""
        for source, name in ((certificate, "server.crt"), (key, "server.key")):
            target = self._data / name
            shutil.copyfile(source, target)
            target.chmod(0o600)
            if self._user is not None:
                shutil.chown(target, self._user)
        self.restart(ssl="on")

    def allow(self, *lines: str) -> None:
        """Say who may connect, in lines of pg_hba.conf."""
        (self._data / "pg_hba.conf").write_text("".join(f"{line}\n" for line in lines))
        self.sql("SELECT pg_reload_conf()", database="postgres")

    @contextmanager
    def small_disk(self, name: str, megabytes: int) -> Iterator[SmallDisk]:
        """A disk for the server, of a size. To be emptied before the block ends."""
        with small_disk(self.folder / name, megabytes, self._user) as disk:
            yield disk

    def close(self) -> None:
        """End it, and remove its folder."""
        if self._process is not None:
            self.kill()
        shutil.rmtree(self.folder)

    def _ended(self) -> None:
        assert self._process is not None
        self._process.wait(STOP_SECONDS)
        self._process = None

    def _arguments(self) -> list[str]:
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "fsync": "off",  # the machine does not go down with it
            "shared_buffers": "16MB",
        }
        return [f"--{name}={value}" for name, value in (options | self._options).items()]

    def _answers(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            raise RuntimeError(f"PostgreSQL has ended:\n{self.log()}")
        try:
            return self.sql("SELECT 1", database="postgres") == "1"
        except AssertionError:
            return False

    def _processes(self) -> list[psutil.Process]:
        assert self._process is not None
        postmaster = psutil.Process(self._process.pid)
        return [postmaster, *postmaster.children(recursive=True)]

    def _run(self, program: str, *arguments: str, **environment: str) -> str:
        done: subprocess.CompletedProcess[str] = subprocess.run(
            [_binary(program), *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
            env=os.environ | {"HOME": str(self.folder)} | environment,  # libpq looks for certificates there
            **_as_user(self._user),
        )
        assert done.returncode == 0, f"{program} failed: {done.stderr}"
        return done.stdout


class Session:
    """A session of psql that stays open."""

    def __init__(self, server: PostgresServer) -> None:
        self._process = subprocess.Popen(
            [_binary("psql"), "-XAtq", "-h", "127.0.0.1", "-p", str(server.port), "-U", ADMIN, "-d", DATABASE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PGPASSWORD": PASSWORD},
        )

    def run(self, statements: str) -> list[str]:
        """Run statements, and give what they print."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{statements}\n\\echo {_END}\n")
        self._process.stdin.flush()
        lines = iter(self._process.stdout.readline, "")
        printed: list[str] = []
        for line in lines:
            if line.strip() == _END:
                return printed
            printed.append(line.strip())
        raise AssertionError("psql has ended; see its error above")

    def close(self) -> None:
        """End it, and with it what it has not committed."""
        self._process.kill()
        self._process.communicate()


_END = "-- end of what was asked --"


@functools.cache
def _template(user: str | None) -> Path:
    """Make the files of a server with its administrator, once for all servers of this process."""
    folder = Path(tempfile.mkdtemp(prefix="mizzen-postgres-"))
    atexit.register(shutil.rmtree, folder)
    password_file = folder / "password"
    password_file.write_text(PASSWORD)
    if user is not None:
        shutil.chown(folder, user)
        shutil.chown(password_file, user)
    command = [_binary("initdb"), f"--pgdata={folder}/data", f"--username={ADMIN}", f"--pwfile={password_file}"]
    options = ["--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync"]
    subprocess.run([*command, *options], check=True, capture_output=True, cwd=folder, **_as_user(user))
    return folder / "data"


def _is_alive(process: psutil.Process) -> bool:
    """Tell whether it still does anything; the children of one that was killed stay as zombies for a while."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _user_without_rights() -> str | None:
    """Give the user to run as; None to stay who we are. PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    users = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in users else "nobody"


def _as_user(user: str | None) -> dict[str, Any]:
    return {} if user is None else {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


def _binary(name: str) -> str:
    """Find a program of the server: Debian keeps them by version, and not on PATH."""
    versions = sorted(
        (path for path in Path("/usr/lib/postgresql").glob(f"*/bin/{name}") if path.parts[4].isdigit()),
        key=lambda path: int(path.parts[4]),
    )
    found = str(versions[-1]) if versions else shutil.which(name)
    assert found is not None, f"{name} is missing; ./setup.sh services installs it"
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
