"""The command line: what it takes, and what its help teaches."""

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Literal

from mizzen_api.names import MANAGEMENT_PORT, TRAFFIC_PORT
from mizzen_runtime.cli.files import STANDARD_INPUT

_PORTS = range(1, 65536)

_DESCRIPTION = """\
Check and run the files of an agent on this machine, without a cluster.

  mizzen validate -f agent.yaml        every problem, with file and line
  mizzen run -f agent.yaml             serve the agent, and take up each change of its files
  mizzen crd | kubectl apply -f -      teach a cluster what an AgentDeployment is
"""
_FILES_HELP = (
    "a file with YAML or JSON documents, a folder (all *.yaml, *.yml and *.json below it, hidden ones apart), or - for "
    "standard input; may be given several times"
)
_RUN_DESCRIPTION = """\
Serve one agent from the same files that `kubectl apply` takes: its AgentDeployment, and the ConfigMaps and Secrets that
it refers to. They are mounted as in a pod, and the same runtime is started.

Its environment is that of this shell, with `spec.pod.env` over it. Own code is imported from what is installed, and
from the folder that mizzen is started in; `spec.pod.image` is not used.

Changes are taken up as they are saved:
  a ConfigMap or a Secret    in the running agent, as in a cluster: requests that run are not disturbed
  the AgentDeployment,       checked first; if it is right, the running agent finishes its requests and a new one
  or own code                takes its place, with a short gap; if it is wrong, what runs goes on
"""
_RUN_EXAMPLES = """\
examples:
  mizzen run -f agent.yaml
  mizzen run -f agent.yaml -f secrets.yaml --port 9000 --management-port 9001
  mizzen run -f deploy/ --name triage             one of several agents
  mizzen run -f agent.yaml --test-services        without a database, a cache or an API

Ctrl-C ends it as soon as the running requests are answered, a second one at once. Exit codes: 0 after Ctrl-C, 1 when
the agent cannot be run, 2 for a wrong command line.
"""
_VALIDATE_DESCRIPTION = """\
Tell everything that is wrong with the files, each problem with file, line and remedy: YAML, fields, capabilities,
settings and the graph of services, as a pod would at its start. Own code that the files name is imported for that, and
its factory is called, with the variables of `spec.pod.env`; no port and no connection is opened.

A ConfigMap or Secret that no file has is a warning: the cluster may have it. What depends on it is not checked.
"""
_VALIDATE_EXAMPLES = """\
examples:
  mizzen validate -f agent.yaml
  mizzen validate -f deploy/ --strict             everything that is referred to must be in the files
  mizzen validate -f agent.yaml --output json     for scripts
  helm template my-chart | mizzen validate -f -

Exit codes: 0 when there are no errors, 1 when there are, 2 for a wrong command line.
"""
_CRD_DESCRIPTION = """\
Print the CustomResourceDefinition of AgentDeployment as YAML. The chart installs it by itself; this is for a cluster
where somebody else does that, and for editors that check YAML against it.
"""
_CRD_EXAMPLES = """\
examples:
  mizzen crd | kubectl apply --server-side -f -
"""


@dataclass(frozen=True)
class RunOptions:
    """What `mizzen run` was told."""

    command: Literal["run"]
    files: Sequence[str]
    name: str | None
    """Which of several agents."""
    host: str
    port: int
    management_port: int
    test_services: bool
    reload: bool


@dataclass(frozen=True)
class ValidateOptions:
    """What `mizzen validate` was told."""

    command: Literal["validate"]
    files: Sequence[str]
    output: Literal["text", "json"]
    strict: bool
    test_services: bool


@dataclass(frozen=True)
class CrdOptions:
    """What `mizzen crd` was told."""

    command: Literal["crd"]


Options = RunOptions | ValidateOptions | CrdOptions
_KINDS: dict[str, type[Options]] = {"run": RunOptions, "validate": ValidateOptions, "crd": CrdOptions}


def parse_arguments(arguments: Sequence[str] | None = None) -> Options:
    """Parse the command line (`sys.argv` without `arguments`); exits with 2 and a usage message when it is wrong."""
    parser = argparse.ArgumentParser(
        prog="mizzen", description=_DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"mizzen {version('mizzen')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_run(commands)
    _add_validate(commands)
    _command(commands, "crd", "print the CRD as YAML", _CRD_DESCRIPTION, _CRD_EXAMPLES)
    parsed = parser.parse_args(arguments)
    options = _KINDS[parsed.command](**vars(parsed))
    if isinstance(options, RunOptions) and options.port == options.management_port:
        parser.error(f"--port and --management-port are both {options.port}: name another port for one of them")
    return options


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    help_line: str,
    description: str,
    examples: str,
) -> argparse.ArgumentParser:
    return commands.add_parser(
        name,
        help=help_line,
        description=description,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _add_files(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-f", "--filename", action="append", required=True, type=_file, dest="files", metavar="FILE", help=_FILES_HELP
    )


def _add_test_services(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--test-services", action="store_true", help="put test doubles in the place of services that have one"
    )


def _add_run(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = _command(commands, "run", "serve an agent on this machine", _RUN_DESCRIPTION, _RUN_EXAMPLES)
    _add_files(parser)
    parser.add_argument("--name", help="which AgentDeployment, where the files have several")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1, this machine)")
    parser.add_argument("--port", type=_port, default=TRAFFIC_PORT, help=f"requests (default: {TRAFFIC_PORT})")
    parser.add_argument(
        "--management-port",
        type=_port,
        default=MANAGEMENT_PORT,
        metavar="PORT",
        help=f"probes, metrics, state (default: {MANAGEMENT_PORT})",
    )
    _add_test_services(parser)
    parser.add_argument("--no-reload", action="store_false", dest="reload", help="leave changes of the files alone")


def _add_validate(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = _command(commands, "validate", "tell all problems of files", _VALIDATE_DESCRIPTION, _VALIDATE_EXAMPLES)
    _add_files(parser)
    parser.add_argument("--output", choices=("text", "json"), default="text", help="for people or for scripts")
    parser.add_argument("--strict", action="store_true", help="make warnings errors")
    _add_test_services(parser)


def _file(text: str) -> str:
    if text != STANDARD_INPUT and not os.path.exists(text):  # noqa: PTH110 - Path("") is the current folder, and may raise
        raise argparse.ArgumentTypeError(f"there is no file or folder {text!r}; - is standard input")
    return text


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) not in _PORTS:
        raise argparse.ArgumentTypeError(f"{text} is not a port (1 to 65535)")
    return int(text)
