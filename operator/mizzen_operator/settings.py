"""The operator's command line."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mizzen_operator.keys import Key
from mizzen_operator.lease import LEASE_SECONDS, SHORTEST_SECONDS

LOG_LEVELS = ("debug", "info", "warning", "error")


@dataclass(frozen=True)
class Settings:
    """How the operator runs."""

    runtime_image: str
    """What runs if a resource names no image."""
    max_concurrent_runtime_updates: int
    """How many agents at a time are moved to what this release renders; 0 leaves each to its next edit."""
    namespaces: tuple[str, ...]
    """Where to work; everywhere if it is empty."""
    port: int
    """Where `/healthz`, `/readyz` and `/metrics` are served; 0 takes a free one."""
    log_level: str
    """One of `LOG_LEVELS`."""
    kubeconfig: Path | None
    """How to reach the API server; the pod's own service account, or `KUBECONFIG`, without it."""
    lease: Key | None
    """The Lease that decides which of several operators works; without one this process works, whoever else does."""
    lease_seconds: int
    """How long that Lease is good for after its last renewal."""


def parse_settings(arguments: Sequence[str] | None = None) -> Settings:
    """Read the command line; a mistake in it ends the process with a usage message."""
    parser = argparse.ArgumentParser(
        prog="python -m mizzen_operator", description="Runs AgentDeployments on Kubernetes."
    )
    parser.add_argument(
        "--runtime-image", required=True, type=_image, metavar="IMAGE", help="what runs if a resource names no image"
    )
    parser.add_argument(
        "--max-concurrent-runtime-updates",
        type=_count,
        default=0,
        metavar="NUMBER",
        help="move this many agents at a time to a new runtime image; 0 moves each with its next edit (default: 0)",
    )
    parser.add_argument(
        "--namespace",
        action="append",
        default=[],
        metavar="NAME",
        help="work in this namespace only; may be repeated (default: all)",
    )
    parser.add_argument("--port", type=int, default=8080, help="for /healthz, /readyz and /metrics (default: 8080)")
    parser.add_argument("--log-level", choices=LOG_LEVELS, default="info", help="(default: info)")
    parser.add_argument(
        "--kubeconfig", type=Path, metavar="FILE", help="(default: the pod's service account, or KUBECONFIG)"
    )
    parser.add_argument(
        "--lease",
        type=_lease,
        metavar="NAMESPACE/NAME",
        help="work only while holding this Lease, which several operators share (default: work alone)",
    )
    parser.add_argument(
        "--lease-duration",
        type=_lease_seconds,
        metavar="SECONDS",
        help=f"when another operator takes over from one that is gone (default: {LEASE_SECONDS})",
    )
    given = parser.parse_args(arguments)
    if given.lease_duration is not None and given.lease is None:
        parser.error("--lease-duration says nothing without --lease NAMESPACE/NAME; give both or none")
    return Settings(
        runtime_image=given.runtime_image,
        max_concurrent_runtime_updates=given.max_concurrent_runtime_updates,
        namespaces=tuple(dict.fromkeys(given.namespace)),
        port=given.port,
        log_level=given.log_level,
        kubeconfig=given.kubeconfig,
        lease=given.lease,
        lease_seconds=given.lease_duration or LEASE_SECONDS,
    )


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of 0 or more")
    return int(text)


def _image(text: str) -> str:
    if not text or text != "".join(text.split()):
        raise argparse.ArgumentTypeError(f"{text!r} names no image; give one such as registry.example/runtime:1.0")
    return text


def _lease(text: str) -> Key:
    namespace, slash, name = text.partition("/")
    if not (namespace and slash and name) or "/" in name or text != "".join(text.split()):
        raise argparse.ArgumentTypeError(f"{text!r} names no Lease; give one such as mizzen-system/mizzen-operator")
    return Key(namespace, name)


def _lease_seconds(text: str) -> int:
    if not text.isdecimal() or int(text) < SHORTEST_SECONDS:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of whole seconds from {SHORTEST_SECONDS} on")
    return int(text)
