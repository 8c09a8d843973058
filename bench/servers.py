"""The runtime and what it is measured beside, each in a process of its own with the same agent.

The runtime has on what a pod has: a line in the log for each request (written to /dev/null), metrics, admission,
breakers, health. The baselines have none of that, and no access log.
"""

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.startup import free_port, running, wait_for
from mizzen_api.contract import RuntimeConfig, RuntimeModel
from mizzen_api.limits import RuntimeLimits

AT_ONCE = 1000
"""How many requests the runtime may answer at a time; the baselines have no limit."""


@dataclass(frozen=True)
class Server:
    """One that answers."""

    process: psutil.Process
    port: int
    path: str
    """Where it takes requests."""


Start = Callable[[], AbstractContextManager[Server]]


def servers(model_url: str | None) -> dict[str, Start]:
    """Give what starts each of them; it is ready when the block begins.

    Args:
        model_url: The OpenAI-compatible model that the agent asks; without one, it answers at once.
    """
    return {
        "runtime": lambda: _runtime(model_url),
        "bare": lambda: _baseline("bare_server", model_url),
        "bare, tuned": lambda: _baseline("bare_server", model_url, "--tuned"),
        "FastAPI": lambda: _baseline("fastapi_server", model_url),
    }


@contextmanager
def _runtime(model_url: str | None) -> Iterator[Server]:
    model = RuntimeModel(model="openai-chat:stub", base_url=model_url) if model_url else RuntimeModel(model="test")
    config = RuntimeConfig(
        namespace="bench",
        name="bench",
        revision="0",
        agent={"instructions": "Answer briefly."},
        models=(model,),
        limits=RuntimeLimits(max_concurrent_requests=AT_ONCE),
    )
    port, management = free_port(), free_port()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "agent.json"
        file.write_text(config.model_dump_json())
        module = "mizzen_runtime" if model_url else "bench.stubbed_runtime"
        command = [sys.executable, "-m", module, "--config", str(file), "--host", "127.0.0.1"]
        command += ["--port", str(port), "--management-port", str(management)]
        command += ["--termination-log", str(Path(folder) / "termination-log")]
        with running(command) as process:
            wait_for(management, "/readyz")
            yield Server(process, port, "/v1/run")


@contextmanager
def _baseline(module: str, model_url: str | None, *options: str) -> Iterator[Server]:
    port = free_port()
    command = [sys.executable, "-m", f"bench.baselines.{module}", "--port", str(port), *options]
    command += ["--model-url", model_url] if model_url else ["--stub"]
    with running(command) as process:
        wait_for(port, "/")
        yield Server(process, port, "/")
