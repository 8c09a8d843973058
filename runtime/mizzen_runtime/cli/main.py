"""Where `mizzen` begins."""

import sys
from collections.abc import Sequence

from mizzen_runtime.cli.arguments import RunOptions, ValidateOptions, parse_arguments
from mizzen_runtime.cli.console import Console
from mizzen_runtime.cli.crd import crd_yaml
from mizzen_runtime.cli.run import run
from mizzen_runtime.cli.validate import validate


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says.

    Args:
        arguments: The command line; `sys.argv` without them.

    Returns:
        The exit code.
    """
    options = parse_arguments(arguments)
    console = Console(sys.stdout)
    if isinstance(options, RunOptions):
        return run(options, console)
    if isinstance(options, ValidateOptions):
        return validate(options, console)
    console.say(crd_yaml().removesuffix("\n"))
    return 0
