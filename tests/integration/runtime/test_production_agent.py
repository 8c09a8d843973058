"""Own code that derives from `ProductionAgentBase`, served by a real process; and own code that holds it up."""

import http.client
import json
import os
import statistics
import textwrap
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mizzen_runtime.loop_watch import BLOCKED_SECONDS
from tests.integration.runtime.model_server import ModelServer, calls, says
from tests.integration.runtime.process import Json, RuntimeProcess, Start, scripted, until

REFUSED = 78
AGENTS = '''
    import asyncio
    import threading
    import time
    from datetime import date

    from pydantic import BaseModel, field_validator
    from pydantic_ai import Agent

    from mizzen_runtime.production_agent import AgentConfig, ProductionAgentBase
    from mizzen_runtime.services import CacheService

    class Ticket(BaseModel):
        model_config = {"strict": True}
        text: str
        urgency: int = 1
        due: date | None = None

        @field_validator("text")
        @classmethod
        def _known(cls, text: str) -> str:
            return text if text != "unknown" else {}["SECRET-KEY"]

    class Decision(BaseModel):
        queue: str
        urgency: int

    class Triage(ProductionAgentBase[Ticket, Decision]):
        """Sorts tickets without a model."""

        async def _process_core_request(self, request: Ticket) -> Decision:
            if request.text == "fail":
                raise ValueError("SECRET-TEXT of own code")
            if request.text == "hang":
                await asyncio.sleep(60)
            if request.text == "wedge":
                time.sleep(60)
            if request.text == "block":
                time.sleep(2)
            return Decision(queue="billing" if "bill" in request.text else "other", urgency=request.urgency)

    class Threaded(ProductionAgentBase[Ticket, Decision]):
        most = 0

        def _process_core_request(self, request: Ticket) -> Decision:
            Threaded.most = max(Threaded.most, threading.active_count())
            time.sleep(0.01)
            return Decision(queue=threading.current_thread().name, urgency=Threaded.most)

    class Counting(ProductionAgentBase[Ticket, Decision]):
        async def _process_core_request(self, request: Ticket) -> Decision:
            cache = self.services.get(CacheService)
            seen = (await cache.get("seen") or 0) + 1
            await cache.set("seen", seen)
            return Decision(queue=self.services.cache is cache and "cached", urgency=seen)

    class Settings(AgentConfig):
        queue: str = "from settings"

    class Configured(ProductionAgentBase[Ticket, Decision]):
        def __init__(self, name: str, config: Settings) -> None:
            super().__init__(name, config)
            self.queue = config.queue

        async def _process_core_request(self, request: Ticket) -> Decision:
            return Decision(queue=f"{self.name} {self.queue}", urgency=self.config.max_concurrent_requests)

    class Unready(ProductionAgentBase):
        async def _process_core_request(self, request):
            return request

    class Forgetful(ProductionAgentBase[Ticket, Decision]):
        def __init__(self, name, config):
            pass

        async def _process_core_request(self, request: Ticket) -> Decision:
            return Decision(queue="", urgency=0)

    class Needy(Triage):
        def __init__(self, name, config, shop):
            super().__init__(name, config)

    class Demanding(Triage):
        class Config(AgentConfig):
            queue: str

        def __init__(self, name: str, config: Config) -> None:
            super().__init__(name, config)

    class Abstract(ProductionAgentBase[Ticket, Decision]):
        pass

    instance = Triage("mine", AgentConfig())
    slow = Triage("slow", AgentConfig(max_concurrent_requests=3))

    async def factory():
        return Triage("made", AgentConfig())

    tooled = Agent()

    @tooled.tool_plain
    def look_up(word: str) -> int:
        """Look up a word, slowly, in a thread."""
        time.sleep(0.05)
        return threading.active_count()

    @tooled.tool_plain
    async def wedge() -> str:
        time.sleep(60)
        return "done"
'''

Serve = Callable[..., RuntimeProcess]


@pytest.fixture
def serve(start: Start, tmp_path: Path) -> Serve:
    """Serve what is called so in `AGENTS`."""

    def serve_one(
        name: str, *models: Json, environment: dict[str, str] | None = None, **fields: object
    ) -> RuntimeProcess:
        (tmp_path / "acme.py").write_text(textwrap.dedent(AGENTS))
        path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
        names = {"namespace": "support", "name": "triage", "revision": "r1"}
        config = {"contractVersion": 1, **names, "entrypoint": f"acme:{name}", "models": list(models), **fields}
        return start(config, PYTHONPATH=path, **(environment or {}))

    return serve_one


def test_a_class_is_served_with_its_own_types(serve: Serve) -> None:
    runtime = serve("Triage")

    answer = runtime.run({"text": "my bill", "urgency": 3, "due": "2026-11-28"})
    assert (answer.status, answer.json["output"]) == (200, {"queue": "billing", "urgency": 3})
    assert (answer.json["revision"], answer.json["attempts"]) == ("r1", [])

    card = runtime.request("GET", "/v1/agent").json
    assert card["description"] == "Sorts tickets without a model."
    assert card["input_schema"]["required"] == ["text"]
    assert card["output_schema"]["properties"].keys() == {"queue", "urgency"}
    assert runtime.manage("/state").json["models"] == []


def test_an_input_of_another_shape_is_refused_with_the_places(serve: Serve) -> None:
    runtime = serve("Triage")

    answer = runtime.run({"urgency": "high", "due": "soon"}, extra=1)
    assert answer.status == 422
    assert [problem["field"] for problem in answer.json["errors"]] == [
        "input.text",
        "input.urgency",
        "input.due",
        "extra",
    ]
    assert runtime.run("Hello").status == 422
    assert runtime.outcome("invalid_input") == 2


def test_an_input_type_that_fails_is_a_failure_of_the_agent_and_spoils_no_other_item(serve: Serve) -> None:
    runtime = serve("Triage")

    answer = runtime.run({"text": "unknown"})
    assert (answer.status, answer.json["type"].rpartition(":")[2]) == (500, "agent-failed")
    body = json.dumps({"requests": [{"input": {"text": text}} for text in ("a", "unknown", "b")]}).encode()
    batch = runtime.request("POST", "/v1/batch", body, content_type="application/json", x_request_id="mine")
    assert [item.get("error", {}).get("status") for item in batch.json["results"]] == [None, 500, None]
    assert (runtime.outcome("agent_failed"), runtime.outcome("ok"), runtime.outcome("invalid_input")) == (2, 2, 0)
    assert "SECRET-KEY" not in runtime.log_text()
    (line,) = [line for line in runtime.log() if line.get("request_id") == "mine/1"]
    assert line["level"] == "error"
    assert "acme.py" in " ".join(line["error"])


def test_a_class_gets_errors_deadline_batches_and_metrics_without_a_line(serve: Serve) -> None:
    runtime = serve("Triage", limits={"requestTimeoutSeconds": 1})

    failed = runtime.run({"text": "fail"})
    assert (failed.status, failed.json["type"]) == (500, "urn:mizzen:problem:agent-failed")
    assert "SECRET-TEXT" not in failed.body.decode()
    assert runtime.run({"text": "hang"}).status == 504
    items = [{"input": {"text": "bill"}}, {"input": {"text": "fail"}}, {"input": {}}]
    batch = runtime.request("POST", "/v1/batch", json.dumps({"requests": items}).encode()).json["results"]
    assert [result["status"] for result in batch] == ["ok", "error", "error"]
    streamed = runtime.run({"text": "bill"}, stream=True)
    assert streamed.body.startswith(b"event: result\n"), "own code has no pieces"

    assert len(runtime.errors()) == 2
    assert "SECRET-TEXT" not in runtime.log_text()
    counts = {name: runtime.outcome(name) for name in ("ok", "agent_failed", "deadline_exceeded", "invalid_input")}
    assert counts == {"ok": 2, "agent_failed": 2, "deadline_exceeded": 1, "invalid_input": 1}
    assert runtime.request("GET", "/v1/metrics").json["total_requests"] == 6


@pytest.mark.parametrize("name", ["instance", "factory", "Configured"])
def test_an_instance_and_a_factory_are_served_too(serve: Serve, name: str) -> None:
    runtime = serve(name, limits={"maxConcurrentRequests": 7})
    queue, urgency = ("triage from settings", 7) if name == "Configured" else ("other", 1)
    assert runtime.run({"text": "x"}).json["output"] == {"queue": queue, "urgency": urgency}
    assert runtime.metric("mizzen_requests_running_limit") == 7


def test_a_class_has_the_services_of_its_request(serve: Serve) -> None:
    service = {"name": "cache", "interface": "CacheService", "implementation": "memory", "sources": []}
    runtime = serve("Counting", services=[{**service, "required": "AtStart", "scope": "singleton"}])
    assert [runtime.run({"text": "x"}).json["output"] for _ in range(2)] == [
        {"queue": "cached", "urgency": 1},
        {"queue": "cached", "urgency": 2},
    ]


@pytest.mark.parametrize(
    ("name", "message", "remedy"),
    [
        ("Unready", "Unready._process_core_request has nothing as its input type", "annotate it"),
        ("Forgetful", "Forgetful.__init__ does not call that of its base", "call super().__init__(name, config)"),
        ("Needy", "acme:Needy needs shop, and nothing gives it that", "take services by self.services"),
        ("Demanding", "acme:Demanding wants a config of type Demanding.Config, and nothing gives its queue", "default"),
        ("Abstract", "the class Abstract does not write _process_core_request", "annotate it"),
        (
            "slow",
            "config says max_concurrent_requests=3, and in this pod it is 10",
            "spec.limits.maxConcurrentRequests",
        ),
    ],
)
def test_what_does_not_fit_is_told_at_the_start(serve: Serve, name: str, message: str, remedy: str) -> None:
    runtime = serve(name)
    assert runtime.exit_code() == REFUSED, runtime.log_text()
    problems = json.loads(runtime.termination_log.read_text())["problems"]
    assert {problem["field"] for problem in problems} == {"spec.entrypoint"}
    assert message in problems[0]["message"]
    assert remedy in problems[0]["remedy"]


def test_models_that_nobody_would_ask_are_refused(serve: Serve) -> None:
    runtime = serve("Triage", {"model": "test"})
    assert runtime.exit_code() == REFUSED
    (problem,) = json.loads(runtime.termination_log.read_text())["problems"]
    assert problem["field"] == "spec.models"


def ask_at_once(runtime: RuntimeProcess, count: int, given: object) -> list[Json]:
    """Send so many requests at once, each over a connection of its own."""
    port = runtime.port

    def ask(_number: int) -> Json:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.request("POST", "/v1/run", json.dumps({"input": given}), {"content-type": "application/json"})
            answer: Json = json.loads(connection.getresponse().read())
            return answer
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as clients:
        return list(clients.map(ask, range(count)))


def test_synchronous_code_keeps_to_its_threads_and_leaves_the_loop_free(serve: Serve) -> None:
    limits = {"maxConcurrentRequests": 200, "maxQueuedRequests": 10_000}
    runtime = serve("Threaded", limits=limits, environment={"MIZZEN_THREADS": "5"})
    items = [{"input": {"text": "x"}}] * 1000
    took = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            begun = time.monotonic()
            assert runtime.manage("/livez").status == 200
            took.append(time.monotonic() - begun)

    runtime.wait_logged("serving")
    with ThreadPoolExecutor(1) as watching:
        watched = watching.submit(watch)
        try:
            body = json.dumps({"requests": items}).encode()
            results = runtime.request("POST", "/v1/batch", body).json["results"]
        finally:
            done.set()
        watched.result()

    assert {result["output"]["queue"] for result in results} == {f"own-code_{number}" for number in range(5)}
    before = min(result["output"]["urgency"] for result in results)
    assert max(result["output"]["urgency"] for result in results) <= before + 5
    assert statistics.median(took) < BLOCKED_SECONDS, "one may be held up by the machine"


def test_synchronous_tools_run_in_these_threads_too(serve: Serve, model_server: ModelServer) -> None:
    count = 30
    runtime = serve(
        "tooled",
        scripted(model_server),
        limits={"maxConcurrentRequests": count},
        environment={"MIZZEN_THREADS": "3"},
    )
    runtime.wait_logged("serving")
    model_server.will(*[calls("look_up", {"word": "x"})] * count)
    model_server.otherwise = says("Done.")
    assert [answer["output"] for answer in ask_at_once(runtime, count, "x")] == ["Done."] * count
    seen = [int(each["messages"][-1]["content"]) for each in model_server.requests if len(each["messages"]) > 2]
    assert len(seen) == count
    assert max(seen) - min(seen) < 3, "beside those that were there before the first"


def is_held_up_by_own_code(line: Json) -> bool:
    told = (
        "the event loop is blocked, and with it every request: await what takes long, or make it a function without "
        "async, which runs in a thread"
    )
    return line["message"] == told and "acme.py" in line["place"]


def test_code_that_blocks_the_loop_is_named_in_the_log_and_measured(serve: Serve) -> None:
    runtime = serve("Triage")
    runtime.wait_logged("serving")

    def told() -> Json | None:
        """Block it again if need be: something else may have been told of, and then this is not for a while."""
        assert runtime.run({"text": "block"}).status == 200
        return next((line for line in runtime.log() if is_held_up_by_own_code(line)), None)

    until(told, "it is told", 60)
    line = told()
    assert line is not None
    assert line["level"] == "warning"
    assert "_process_core_request" in line["place"]
    until(lambda: runtime.metric("mizzen_event_loop_lag_seconds") > 1, "the lag is measured")
    assert runtime.manage("/livez").status == 200


@pytest.mark.parametrize("what", ["tool", "base"])
def test_a_loop_that_stands_still_does_not_answer_livez(serve: Serve, model_server: ModelServer, what: str) -> None:
    if what == "tool":
        runtime = serve("tooled", scripted(model_server))
        model_server.will(calls("wedge", {}))
        given: object = "x"
    else:
        runtime = serve("Triage")
        given = {"text": "wedge"}
    port = runtime.management_port
    asking = runtime.open_run({"input": given})
    until(lambda: any(map(is_held_up_by_own_code, runtime.written())), "it is told", 40)

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)  # as kubelet's probe has it
    connection.request("GET", "/livez")
    with pytest.raises(TimeoutError):
        connection.getresponse()
    connection.close()
    asking.close()
