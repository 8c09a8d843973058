"""The management port: probes for kubelet, metrics for Prometheus, state for the operator.

A plain ASGI application, because it answers before anything heavy is imported.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mizzen_api.names import LIVENESS_PATH, METRICS_PATH, READINESS_PATH, STARTUP_PATH, STATE_PATH
from mizzen_runtime.http.asgi import Receive, Scope, Send, respond
from mizzen_runtime.http.problem import plain_problem
from mizzen_runtime.lifecycle import Lifecycle

_TEXT = b"text/plain; charset=utf-8"
_STARTING = "the agent is not built yet"


@dataclass(frozen=True)
class Reports:
    """What can be told once the configuration is read."""

    readiness: Callable[[], Mapping[str, bool]]
    """Gives what else the pod's readiness depends on, by name."""
    metrics: Callable[[], bytes]
    """Gives the metrics in Prometheus' text format."""
    metrics_content_type: str
    state: Callable[[], bytes]
    """Gives the `StateReport` as JSON."""


class ManagementApp:
    """Answers on the management port from the first milliseconds of the process to its last."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        self._lifecycle = lifecycle
        self.reports: Reports | None = None
        """Set as soon as there is something to report."""
        self._routes = {
            LIVENESS_PATH: self._live,
            STARTUP_PATH: self._started,
            READINESS_PATH: self._ready,
            METRICS_PATH: self._metrics,
            STATE_PATH: self._state,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        del receive
        if scope["type"] != "http":
            return
        route = self._routes.get(scope["path"])
        if route is None:
            known = ", ".join(self._routes)
            await plain_problem(404, f"this port serves {known}").send(send)
        elif scope["method"] not in {"GET", "HEAD"}:
            await plain_problem(405, "only GET and HEAD are served here", headers=[(b"allow", b"GET, HEAD")]).send(send)
        else:
            await route(scope, send)

    async def _live(self, scope: Scope, send: Send) -> None:
        """Alive is who answers: liveness must depend on nothing but the event loop."""
        del scope
        await respond(send, 200, b"ok\n", _TEXT)

    async def _started(self, scope: Scope, send: Send) -> None:
        await self._checks(scope, send, {"wired": self._lifecycle.wired})

    async def _ready(self, scope: Scope, send: Send) -> None:
        checks = {"wired": self._lifecycle.wired, "not-leaving": not self._lifecycle.leaving}
        if self.reports is not None:
            checks.update(self.reports.readiness())
        await self._checks(scope, send, checks)

    async def _checks(self, scope: Scope, send: Send, checks: dict[str, bool]) -> None:
        passed = all(checks.values())
        lines = [f"[{'+' if good else '-'}]{name} {'ok' if good else 'failed'}" for name, good in checks.items()]
        verbose = scope["query_string"].split(b"=")[0] == b"verbose"
        summary = "ok" if passed else f"not ok: {', '.join(name for name, good in checks.items() if not good)}"
        text = "\n".join([*lines, summary]) if verbose else summary
        await respond(send, 200 if passed else 503, f"{text}\n".encode(), _TEXT)

    async def _metrics(self, scope: Scope, send: Send) -> None:
        del scope
        if self.reports is None:
            await plain_problem(503, _STARTING).send(send)
        else:
            await respond(send, 200, self.reports.metrics(), self.reports.metrics_content_type.encode())

    async def _state(self, scope: Scope, send: Send) -> None:
        del scope
        if self.reports is None:
            await plain_problem(503, _STARTING).send(send)
        else:
            await respond(send, 200, self.reports.state(), b"application/json")
