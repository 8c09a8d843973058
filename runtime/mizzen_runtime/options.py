"""The command line. Imports nothing heavy: the sockets are bound right after it is parsed."""

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mizzen_api.names import MANAGEMENT_PORT, TRAFFIC_PORT
from mizzen_api.timing import HANDOVER_SECONDS, OWN_CODE_SECONDS, PROPAGATION_SECONDS
from mizzen_runtime.thread_pool import THREADS

MAX_BODY_BYTES = 1024 * 1024
PROFILE_VARIABLE = "MIZZEN_PROFILE"
THREADS_VARIABLE = "MIZZEN_THREADS"
MAX_THREADS = 1000
PROFILES = ("production", "test")
"""What the variable may be; the first is what it is by default."""


@dataclass(frozen=True)
class Options:
    """What the command line said; the defaults are those of a pod."""

    config: Path | None
    """The rendered configuration; where the operator mounts it without one."""
    live_settings: Path | None
    """Folder of what changes while the process runs; where the operator has it mounted without one."""
    host: str | None
    """Address that both ports listen on; every address without one."""
    port: int
    """Port of the traffic; 0 takes a free one."""
    management_port: int
    """Port of probes, metrics and state; 0 takes a free one."""
    termination_log: Path | None
    """Where the last words of a failed start go; where kubelet reads them without one."""
    handover: float
    """Seconds after SIGTERM in which the process still says that it is ready."""
    propagation_delay: float
    """Seconds after that in which new connections are still accepted."""
    max_body_bytes: int
    """Largest request body."""
    own_code_timeout: float
    """Seconds that import and factory of own code may take together."""
    threads: int
    """How many calls of synchronous own code run at once."""
    test_services: bool
    """Whether test doubles take the place of services that have one."""


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds above 0")
    return value


def _not_negative(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds of 0 or more")
    return value


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 65535:  # noqa: PLR2004 - the range of TCP ports
        raise argparse.ArgumentTypeError(f"{text} is not a port (0 to 65535)")
    return value


def _bytes(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number of bytes above 0")
    return value


def _threads(text: str) -> int:
    value = int(text)
    if not 1 <= value <= MAX_THREADS:
        raise argparse.ArgumentTypeError(f"{text} is not a number of threads (1 to {MAX_THREADS})")
    return value


def parse_options(arguments: Sequence[str] | None = None) -> Options:
    """Parse the command line (`sys.argv` without `arguments`); exits with 2 and a usage message when it is wrong."""
    parser = argparse.ArgumentParser(prog="python -m mizzen_runtime", description="Serve one agent over HTTP.")
    parser.add_argument("--config", type=Path, metavar="FILE", help="agent.json (default: as mounted in a pod)")
    parser.add_argument(
        "--live-settings",
        type=Path,
        metavar="FOLDER",
        help="what changes while the process runs (default: as mounted in a pod)",
    )
    parser.add_argument("--host", help="address to listen on (default: all, of IPv4 and IPv6)")
    parser.add_argument("--port", type=_port, default=TRAFFIC_PORT, help=f"traffic (default: {TRAFFIC_PORT})")
    parser.add_argument(
        "--management-port",
        type=_port,
        default=MANAGEMENT_PORT,
        help=f"probes, metrics, state (default: {MANAGEMENT_PORT})",
    )
    parser.add_argument(
        "--termination-log", type=Path, metavar="FILE", help="last words (default: where kubelet reads)"
    )
    parser.add_argument(
        "--handover",
        type=_not_negative,
        default=HANDOVER_SECONDS,
        metavar="SECONDS",
        help=f"go on being ready this long after SIGTERM (default: {HANDOVER_SECONDS:g})",
    )
    parser.add_argument(
        "--propagation-delay",
        type=_not_negative,
        default=PROPAGATION_SECONDS,
        metavar="SECONDS",
        help=f"then go on accepting this long (default: {PROPAGATION_SECONDS:g})",
    )
    parser.add_argument(
        "--max-body-bytes",
        type=_bytes,
        default=MAX_BODY_BYTES,
        metavar="BYTES",
        help=f"largest request body (default: {MAX_BODY_BYTES})",
    )
    parser.add_argument(
        "--own-code-timeout",
        type=_positive,
        default=OWN_CODE_SECONDS,
        metavar="SECONDS",
        help=f"bound on the import and the factory of own code (default: {OWN_CODE_SECONDS:g})",
    )
    parser.add_argument(
        "--threads",
        type=_threads,
        default=os.environ.get(THREADS_VARIABLE, str(THREADS)),  # a text is parsed as on the command line
        metavar="N",
        help=f"how many calls of synchronous own code run at once (default: ${THREADS_VARIABLE}, or {THREADS})",
    )
    profile = os.environ.get(PROFILE_VARIABLE, PROFILES[0])
    if profile not in PROFILES:
        parser.error(f"{PROFILE_VARIABLE} is {profile!r}; write {' or '.join(PROFILES)}, or leave it out")
    parser.add_argument(
        "--test-services",
        action="store_true",
        default=profile == "test",
        help=f"put test doubles in the place of services that have one (default: as {PROFILE_VARIABLE}=test says)",
    )
    options = Options(**vars(parser.parse_args(arguments)))
    if options.port == options.management_port != 0:
        parser.error(f"--port and --management-port are both {options.port}: name another port for one of them")
    return options
