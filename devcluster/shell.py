"""Calls of other programs, and small waits."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from devcluster.errors import CommandFailedError, DevClusterError

# What a shell may hold and a call of ours must not follow: another cluster; a proxy on the way to our own node.
_OTHER_CLUSTER = ("KUBECONFIG", "HELM_KUBE", "KUBERNETES_")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
_ADMIN_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def search_path() -> str:
    """Give PATH with the administrators' folders, which a user's PATH often lacks."""
    folders = os.environ.get("PATH", "/usr/bin:/bin").split(os.pathsep)
    return os.pathsep.join([*folders, *(folder for folder in _ADMIN_FOLDERS if folder not in folders)])


def find_program(name: str, package: str) -> Path:
    """Give the path of an installed program.

    Raises:
        DevClusterError: it is not installed; the message names the package that has it.
    """
    found = shutil.which(name, path=search_path())
    if found is None:
        raise DevClusterError(f"`{name}` is not installed", f"install it: apt-get install {package}")
    return Path(found)


def clean_environment(*, proxies: bool, **extra: str) -> dict[str, str]:
    """Give this process's environment without what points to another cluster, plus `extra`.

    Args:
        proxies: whether to keep the proxies: right for another machine, wrong for the node on this one.
        extra: more variables.
    """
    left_out = _OTHER_CLUSTER if proxies else (*_OTHER_CLUSTER, *_PROXIES)
    kept = {key: value for key, value in os.environ.items() if not key.upper().startswith(left_out)}
    return {**kept, "PATH": search_path(), **extra}


def run(
    argv: Sequence[str | Path],
    *,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float | None = 120,
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and give its output.

    Raises:
        CommandFailedError: it cannot be started, takes longer than `timeout` seconds, or (with `check`) fails. The
            message holds the command and the end of what it wrote.
    """
    command = [str(part) for part in argv]
    shown = " ".join([Path(command[0]).name, *command[1:]])
    try:
        done = subprocess.run(
            command, input=stdin, env=env, timeout=timeout, check=False, capture_output=True, text=True
        )
    except FileNotFoundError as error:
        raise CommandFailedError(f"`{command[0]}` cannot be started: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise CommandFailedError(f"`{shown}` did not end within {timeout:g} s") from error
    if check and done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise CommandFailedError(
            f"`{shown}` failed ({done.returncode}): {said}", output=said, returncode=done.returncode
        )
    return done


def wait_until(condition: Callable[[], bool], *, seconds: float, interval: float = 0.05) -> bool:
    """Ask again until the condition holds; give whether it did within that many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(interval)
    return True
