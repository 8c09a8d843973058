"""The composition root: what starts in which order, and how it ends.

The management port answers before anything heavy is imported, so that liveness says something about the process and not
about the import of a library.
"""

import asyncio
import errno
import gc
import logging
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import uvloop

from mizzen_runtime import log
from mizzen_runtime.http.management import ManagementApp
from mizzen_runtime.http.server import HttpServer, bind
from mizzen_runtime.leaving import (
    EXIT_FAILED,
    EXIT_REFUSED,
    LAST_CALL_SECONDS,
    bound_end,
    drain_grace,
    in_abandonable_thread,
    leave_at_once,
)
from mizzen_runtime.lifecycle import Lifecycle
from mizzen_runtime.options import Options, parse_options

if TYPE_CHECKING:
    from mizzen_api.contract import FailureKind
    from mizzen_api.problems import Problem
    from mizzen_runtime.wiring import Runtime

_GC_THRESHOLDS = (20_000, 5, 5)
"""Collections are the largest avoidable cost of a request: fewer of them take 0.7 of the CPU.

What runs while one is made moves to an older generation, and is garbage there a moment later. So the older ones are
seen to soon as well: at (20,000, 20, 50) some MB more are held, and the oldest grows for hours. They are small, as all
that was there at the start is frozen, and cost a request less than a microsecond.
"""
MANAGEMENT_GRACE_SECONDS = 1.0
"""What a probe in flight has for its answer."""

logger = logging.getLogger("mizzen.server")


def main(stop_requested: Callable[[], bool], arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM.

    Args:
        stop_requested: Tells whether a signal came before it could be handled here.
        arguments: The command line; `sys.argv` without them.

    Returns:
        The exit code: 0 after a drain, `EXIT_REFUSED` for a start that cannot succeed, `EXIT_FAILED` for a fault.
    """
    options = parse_options(arguments)
    log.configure()
    log.hook()
    sockets: list[socket.socket] = []
    for flag, port in (("--management-port", options.management_port), ("--port", options.port)):
        try:
            sockets.append(bind(options.host, port))
        except OSError as error:
            _report_unbound(options, f"{flag} {port}", error)
            return EXIT_REFUSED
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_serve_and_bound_end(options, sockets, stop_requested))
    except Exception as error:  # noqa: BLE001 - it is logged in there
        return _report_fault(options, error)


async def _serve_and_bound_end(
    options: Options, sockets: Sequence[socket.socket], stop_requested: Callable[[], bool]
) -> int:
    try:
        code = await _Process(options, *sockets).serve(stop_requested)
    except Exception as error:  # noqa: BLE001 - it is logged in there
        code = _report_fault(options, error)
    bound_end(code)
    return code


def _report_fault(options: Options, error: Exception) -> int:
    logger.error("the runtime failed", exc_info=error)
    message = f"it failed with {type(error).__name__}"
    _report(options, "Fault", "runtime", message, "the pod's log has the place where it did")
    return EXIT_FAILED


def _report_unbound(options: Options, port_field: str, error: OSError) -> None:
    host = options.host or "every address"
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        field, remedy = f"--host {host}", "name an address of this machine, or leave --host out for all of them"
    else:
        field, remedy = port_field, "stop what listens there, or name another port"
    _report(options, "Configuration", field, f"{host} cannot be listened on: {error.strerror}", remedy)


def _report(options: Options, kind: "FailureKind", field: str, message: str, remedy: str) -> None:
    from mizzen_api.problems import Problem  # noqa: PLC0415 - pydantic would delay the first probe's answer
    from mizzen_runtime.start_failure import report_start_failure  # noqa: PLC0415 - as above

    report_start_failure([Problem(field=field, message=message, remedy=remedy)], options.termination_log, kind=kind)


class _Process:
    """One run of the process, from its first probe to its exit."""

    def __init__(self, options: Options, management_socket: socket.socket, traffic_socket: socket.socket) -> None:
        self._options = options
        self._lifecycle = Lifecycle()
        self._stop = asyncio.Event()
        self._management_app = ManagementApp(self._lifecycle)
        self._management = HttpServer(self._management_app, management_socket, drain_grace=MANAGEMENT_GRACE_SECONDS)
        self._traffic_socket = traffic_socket

    async def serve(self, stop_requested: Callable[[], bool]) -> int:
        """Start, serve, drain; gives the exit code."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(log.log_loop_error)
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self._begin_drain)
        if stop_requested():
            return 0
        await self._management.start()
        logger.info("starting", extra={"management_port": self._management.port})
        try:
            runtime = await self._build()
            if self._lifecycle.draining:
                return 0
            if runtime is None:
                return EXIT_REFUSED
            await self._serve_traffic(runtime)
            return 0
        finally:
            await self._management.stop()

    def _begin_drain(self) -> None:
        self._lifecycle.draining = True
        self._stop.set()

    async def _build(self) -> "Runtime | None":
        """Build everything in a thread, while probes are answered; None when it was refused, and said so.

        Returns early when the process is asked to stop: own code may take its time, and nothing is served yet.
        """
        loop = asyncio.get_running_loop()
        gc.disable()  # a collection during the imports finds nothing and takes a sixth of their time
        build = partial(_build_or_refuse, self._options, self._lifecycle, loop, threading.get_ident())
        built = in_abandonable_thread(build)
        stop = asyncio.create_task(self._stop.wait())
        either: set[asyncio.Future[Any]] = {built, stop}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            return built.result() if built.done() else None
        finally:
            stop.cancel()
            gc.enable()

    async def _serve_traffic(self, runtime: "Runtime") -> None:
        async with runtime.agent.connected():
            await runtime.services.start()
            background = [asyncio.create_task(each) for each in (runtime.files.watch(), runtime.health.run())]
            try:
                with runtime.loop_watch:
                    await self._serve_until_drained(runtime)
            finally:
                for task in background:
                    task.cancel()
                await asyncio.gather(runtime.services.close(), runtime.tracing.close())

    async def _serve_until_drained(self, runtime: "Runtime") -> None:
        options = self._options
        grace = drain_grace(runtime.limits.request_timeout_seconds)
        traffic = HttpServer(runtime.app, self._traffic_socket, drain_grace=grace, last_call=LAST_CALL_SECONDS)
        self._management_app.reports = runtime.reports
        await traffic.start()
        gc.freeze()
        gc.set_threshold(*_GC_THRESHOLDS)
        self._lifecycle.wired = True
        logger.info(
            "serving",
            extra={"port": traffic.port, "models": runtime.models},
        )
        await self._stop.wait()
        runtime.gate.drain()
        started = time.monotonic()
        accepting = options.handover + options.propagation_delay
        logger.info("draining", extra={"accepting_for_seconds": accepting})
        await asyncio.sleep(options.handover)
        self._lifecycle.leaving = True
        await asyncio.sleep(options.propagation_delay)
        await traffic.stop()
        logger.info("drained", extra={"seconds": round(time.monotonic() - started, 3)})


def _build_or_refuse(
    options: Options, lifecycle: Lifecycle, loop: asyncio.AbstractEventLoop, loop_thread: int
) -> "Runtime | None":
    from mizzen_runtime.agent.entrypoint import Host  # noqa: PLC0415 - all that is heavy is imported in the thread
    from mizzen_runtime.config import ConfigRefused  # noqa: PLC0415 - as above
    from mizzen_runtime.start_failure import report_start_failure  # noqa: PLC0415 - as above
    from mizzen_runtime.wiring import build_runtime  # noqa: PLC0415 - as above

    def give_up(problem: "Problem") -> NoReturn:
        report_start_failure([problem], options.termination_log)
        leave_at_once(EXIT_REFUSED)

    try:
        return build_runtime(options, lifecycle, Host(loop, loop_thread, options.own_code_timeout, give_up))
    except ConfigRefused as refused:
        if not lifecycle.draining:
            report_start_failure(refused.problems, options.termination_log, kind=refused.kind)
        return None
