"""Where `mizzen` begins."""

import os
import sys
from collections.abc import Sequence

from mizzen_runtime.cli.arguments import Options, RunOptions, ValidateOptions, parse_arguments
from mizzen_runtime.cli.console import Console
from mizzen_runtime.cli.crd import crd_yaml
from mizzen_runtime.cli.run import run
from mizzen_runtime.cli.stop import AT_ONCE
from mizzen_runtime.cli.validate import validate

_UNREAD = 141
"""What a shell says of a process whose output nobody reads."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says.

    Args:
        arguments: The command line; `sys.argv` without them.

    Returns:
        The exit code.
    """
    options = parse_arguments(arguments)
    try:
        return _do(options, Console(sys.stdout))
    except KeyboardInterrupt:
        return AT_ONCE
    except BrokenPipeError:
        # Nobody reads any more, as after `| head`. Python would try once more at the end of the process, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _UNREAD


def _do(options: Options, console: Console) -> int:
    if isinstance(options, RunOptions):
        return run(options, console)
    if isinstance(options, ValidateOptions):
        return validate(options, console)
    console.say(crd_yaml().removesuffix("\n"))
    return 0
