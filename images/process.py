"""Calls of other programs, with their time on the screen and their output in a file."""

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

LINE_EVERY = 15.0
"""Seconds between two lines of progress when nobody watches a terminal."""
LAST_LINES = 25
"""How much of a failed program's output its error repeats."""


class ImageError(Exception):
    """An expected failure: what is wrong and what to do next, in one message for people."""


def say(message: str) -> None:
    """Report one line on standard error, so that results on standard output can be piped."""
    print(message, file=sys.stderr, flush=True)


def run_step(title: str, argv: Sequence[str], *, log: Path, env: Mapping[str, str], expected: float) -> None:
    """Run a program to its end, and show how long it has taken beside how long it usually takes.

    Args:
        title: What is being done, such as `image runtime`.
        argv: The command.
        log: File that receives all output.
        env: The whole environment.
        expected: Seconds that it usually takes.

    Raises:
        ImageError: It cannot be started, or it failed; the message has the end of its output and the log's path.
    """
    begun = time.monotonic()
    say(f"{title}: about {expected:.0f} s …")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        try:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=env)
        except OSError as error:
            raise ImageError(f"{title}: `{argv[0]}` cannot be started: {error.strerror}") from error
        try:
            returncode = _wait(process, title, begun)
        except BaseException:
            process.terminate()
            process.wait()
            raise
    seconds = time.monotonic() - begun
    if returncode != 0:
        said = "\n".join(f"    {line}" for line in log.read_text(errors="replace").splitlines()[-LAST_LINES:])
        raise ImageError(
            f"{title}: `{argv[0]}` failed ({returncode}) after {seconds:.0f} s:\n{said}\n  all of it: {log}"
        )
    say(f"{title}: {seconds:.1f} s")


def _wait(process: subprocess.Popen[bytes], title: str, begun: float) -> int:
    """Wait for the end and give the exit code; show the seconds meanwhile."""
    terminal = sys.stderr.isatty()
    interval = 1.0 if terminal else LINE_EVERY
    while True:
        try:
            return process.wait(timeout=interval)
        except subprocess.TimeoutExpired:
            passed = f"{title}: {time.monotonic() - begun:.0f} s …"
            print(f"\r\033[K{passed}\r" if terminal else f"{passed}\n", end="", file=sys.stderr, flush=True)
