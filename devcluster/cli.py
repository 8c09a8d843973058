"""The command line: `python -m devcluster COMMAND`."""

import argparse
import json
from collections.abc import Sequence

from devcluster import build, status
from devcluster.cluster import DEFAULT_NAME, DevCluster
from devcluster.errors import DevClusterError
from devcluster.progress import say
from devcluster.spec import load_spec, unknown_cluster

_DESCRIPTION = """\
A real Kubernetes on this machine, for the demo, the tests and the benchmarks: one node in namespaces of its own, built
from source, without Docker and without a registry. Several clusters can run side by side under different names.
"""
_EXAMPLES = """\
examples:
  python -m devcluster build                     build Kubernetes once, about 10 minutes on two cores
  python -m devcluster up                        start the cluster "mizzen", a few seconds
  export KUBECONFIG=$(python -m devcluster kubeconfig)
  python -m devcluster load localhost/app:1      bring an image from buildah's storage into the cluster
  python -m devcluster status                    how it is, where its logs are
  python -m devcluster up test --sync-frequency 5s
  python -m devcluster down test                 remove a cluster with all it left on the machine
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; give the exit code: 0, or 1 after an error that has been explained."""
    arguments = _parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
    except DevClusterError as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("interrupted; the same command goes on where it stopped")
        return 130
    return code


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m devcluster", description=_DESCRIPTION, epilog=_EXAMPLES, formatter_class=raw
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    command = commands.add_parser("build", help="build the programs into the cache, unless they are there")
    command.add_argument(
        "--with", dest="extra", action="append", choices=[build.PROMETHEUS], default=[], help="build this too"
    )
    command.set_defaults(run=_build)

    command = commands.add_parser("up", help="start a cluster, or start it again on its data")
    _add_name(command)
    command.add_argument(
        "--sync-frequency",
        metavar="DURATION",
        help="how often kubelet looks at mounted ConfigMaps and Secrets: 5s for tests (default: its own 1m)",
    )
    command.set_defaults(run=_up)

    command = commands.add_parser("down", help="end a cluster and remove all of it")
    _add_name(command)
    command.add_argument("--keep-data", action="store_true", help="keep its data: `up` brings it back with its pods")
    command.set_defaults(run=_down)

    command = commands.add_parser("status", help="show how a cluster is")
    _add_name(command)
    command.add_argument("--json", action="store_true", help="for programs")
    command.set_defaults(run=_status)

    command = commands.add_parser("load", help="bring images into a running cluster")
    command.add_argument("images", nargs="+", metavar="IMAGE", help="a name in buildah's storage, or an image archive")
    command.add_argument("--name", default=DEFAULT_NAME, help="the cluster (default: %(default)s)")
    command.set_defaults(run=_load)

    command = commands.add_parser("kubeconfig", help="print the path of a cluster's kubeconfig")
    _add_name(command)
    command.set_defaults(run=_kubeconfig)

    command = commands.add_parser("list", help="list the clusters")
    command.set_defaults(run=_list)
    return parser


def _add_name(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "name", nargs="?", default=DEFAULT_NAME, metavar="NAME", help="the cluster (default: %(default)s)"
    )


def _build(arguments: argparse.Namespace) -> int:
    for group in [build.CLUSTER, *arguments.extra]:
        build.build(group)
    print(build.binaries().folder)
    return 0


def _up(arguments: argparse.Namespace) -> int:
    DevCluster(arguments.name).up(sync_frequency=arguments.sync_frequency)
    return 0


def _down(arguments: argparse.Namespace) -> int:
    if not DevCluster(arguments.name).down(keep_data=arguments.keep_data):
        say(f"there is no cluster named {arguments.name!r}: nothing to do")
    return 0


def _status(arguments: argparse.Namespace) -> int:
    found = DevCluster(arguments.name).status()
    if arguments.json:
        print(json.dumps(found.to_json(), indent=2))
        return 0
    memory = f", {found.processes} processes, {found.memory_bytes / 1e6:.0f} MB" if found.pid else ""
    print(f"{found.name}: {found.state}{memory}")
    if found.failure:
        print(f"  {found.failure}")
    print(f"  server      {found.server}")
    print(f"  kubeconfig  {found.kubeconfig}")
    print(f"  logs        {found.logs}")
    return 0


def _load(arguments: argparse.Namespace) -> int:
    cluster = DevCluster(arguments.name)
    for image in arguments.images:
        print(cluster.load(image))
    return 0


def _kubeconfig(arguments: argparse.Namespace) -> int:
    cluster = DevCluster(arguments.name)
    if load_spec(cluster.paths) is None:
        raise unknown_cluster(arguments.name)
    print(cluster.kubeconfig)
    return 0


def _list(_: argparse.Namespace) -> int:
    for name in status.names():
        found = DevCluster(name).status()
        print(f"{name:30}  {found.state:8}  {found.server}")
    return 0
