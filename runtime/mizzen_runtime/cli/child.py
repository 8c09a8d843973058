"""Runs a module of the runtime that ends when `mizzen` does, however that ends: killed, or crashed.

`python -m mizzen_runtime.cli.child PIPE FOLDER MODULE ARGUMENT…`. Only `mizzen` holds the other end of the pipe, and
never writes: that the pipe has ended says that `mizzen` has.
"""

import functools
import os
import runpy
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO


def start_child(
    module: str, arguments: Sequence[str], root: Path, environment: Mapping[str, str], stdout: IO[str] | None = None
) -> "subprocess.Popen[bytes]":
    """Start a module as a process.

    Args:
        module: Its name.
        arguments: Its command line.
        root: The folder that the child removes when this process is gone before it.
        environment: All its variables.
        stdout: Takes the place of this process's own.
    """
    pipe = _pipe()
    command = [sys.executable, "-m", "mizzen_runtime.cli.child", str(pipe), str(root), module, *arguments]
    return subprocess.Popen(command, env=environment, stdout=stdout, pass_fds=[pipe])


@functools.cache
def _pipe() -> int:
    """Give the end for children; the other one is closed with this process."""
    end_of_children, _ = os.pipe()
    return end_of_children


def _follow(pipe: int, root: str) -> None:
    """Wait for the end of `mizzen`, and then do what it would have done: no Secret stays, running requests may end."""
    os.read(pipe, 1)
    shutil.rmtree(root, ignore_errors=True)
    os.kill(os.getpid(), signal.SIGTERM)


def _main(pipe: str, root: str, module: str, *arguments: str) -> None:
    threading.Thread(target=_follow, args=(int(pipe), root), name="follow", daemon=True).start()
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _main(*sys.argv[1:])
