"""Checks one agent as a pod does at its start, in a process of its own: `python -m mizzen_runtime.cli.check`.

A process of its own, because own code is imported, with the agent's environment variables; because it may hang, end the
process or change it; and because it has to be imported anew when it has changed.
"""

import asyncio
import re
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NoReturn

from mizzen_api.capabilities import PYTHON_TOOLS, argument_of
from mizzen_api.contract import RuntimeConfig
from mizzen_api.problems import Problem
from mizzen_runtime import log
from mizzen_runtime.agent.entrypoint import Host
from mizzen_runtime.cli.check_report import CheckReport
from mizzen_runtime.config import DEFAULT_CONFIG, ConfigRefused, read_config
from mizzen_runtime.leaving import EXIT_REFUSED, in_abandonable_thread, leave, leave_at_once
from mizzen_runtime.lifecycle import Lifecycle
from mizzen_runtime.options import Options, parse_options
from mizzen_runtime.own_code.imports import IMPORTED_IN_VAIN, NOT_INSTALLED, SEE_TRACEBACK
from mizzen_runtime.wiring import build_runtime

_IMAGE = re.compile(r"in this image\b")
_INSTALL = re.compile(r"pip install '[^']+'")
_REMEDIES_HERE = {
    NOT_INSTALLED: "install it (`pip install -e .`), start mizzen in the folder that holds it, or correct the name",
    IMPORTED_IN_VAIN: "install it",
    SEE_TRACEBACK: "the whole traceback is in the lines before; mend the code",
}
"""What is to be done on a laptop in the place of what is to be done about an image."""


def main(report: Path, options: Options) -> int:
    """Check the agent of a configuration; opens no port and no connection.

    Args:
        report: File that the `CheckReport` is written to.
        options: What the runtime would be started with.

    Returns:
        The exit code: 0 when the check was done, whatever came of it.
    """
    log.configure()
    asyncio.run(_check(report, options))
    return 0


async def _check(report: Path, options: Options) -> None:
    def give_up(problem: Problem) -> NoReturn:
        _write(report, options, [problem])
        leave_at_once(EXIT_REFUSED)

    host = Host(asyncio.get_running_loop(), threading.get_ident(), options.own_code_timeout, give_up)
    try:
        await in_abandonable_thread(lambda: build_runtime(options, Lifecycle(), host))
    except ConfigRefused as refused:
        _write(report, options, refused.problems)
    else:
        _write(report, options, ())


def _write(report: Path, options: Options, problems: Iterable[Problem]) -> None:
    code = _code_of(read_config(options.config or DEFAULT_CONFIG))
    told = CheckReport(problems=tuple(map(_told_here, problems)), code=tuple(dict.fromkeys(code)))
    report.write_text(told.model_dump_json(), encoding="utf-8")


def _told_here(problem: Problem) -> Problem:
    """Put a problem that speaks of an image into the words of somebody who has none."""
    remedy = _REMEDIES_HERE.get(problem.remedy, problem.remedy)
    if (command := _INSTALL.search(remedy)) is not None:
        remedy = f"`{command[0]}`"
    return Problem(field=problem.field, message=_IMAGE.sub("here", problem.message), remedy=remedy)


def _code_of(config: RuntimeConfig) -> Iterator[str]:
    """Give where own code is, as far as it was imported: what a configuration names, and what stands beside it."""
    yield from _code_in(Path.cwd())
    for name in _import_paths(config):
        package = name.partition(":")[0].partition(".")[0]
        module = sys.modules.get(package)
        if module is None or package == __name__.partition(".")[0]:
            continue
        if hasattr(module, "__path__"):
            yield from module.__path__
        elif module.__file__ is not None:
            yield module.__file__


def _code_in(folder: Path) -> Iterator[str]:
    """Give the modules that were imported from a folder, apart from what is installed."""
    installed = (sys.prefix, sys.base_prefix, Path(__file__).parents[1])
    for module in list(sys.modules.values()):
        path = Path(getattr(module, "__file__", None) or "")
        if path.is_relative_to(folder) and not any(path.is_relative_to(place) for place in installed):
            yield str(path)


def _import_paths(config: RuntimeConfig) -> Iterator[str]:
    if config.entrypoint is not None:
        yield config.entrypoint
    for service in config.services or ():
        yield from (name for name in (service.interface, service.implementation) if ":" in name)
    for capability in (config.agent or {}).get("capabilities") or ():
        yield from (name for name in argument_of(capability, PYTHON_TOOLS, "tools") or () if isinstance(name, str))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    leave(main(Path(sys.argv[1]), parse_options(sys.argv[2:])))
