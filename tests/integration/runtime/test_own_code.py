"""Agents in own code, served by a real process: what they answer, and what is said when they do not start."""

import json
import os
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mizzen_api.timing import OWN_CODE_SECONDS
from tests.integration.runtime.model_server import ModelServer, after_release, calls, fills_in, is_filtered, says
from tests.integration.runtime.process import (
    START_SECONDS,
    Json,
    RuntimeProcess,
    Start,
    events_of,
    read_all,
    scripted,
    until,
)

REFUSED = 78
AGENTS = '''
    """Agents of every kind."""

    import asyncio
    import os

    from pydantic import BaseModel
    from pydantic_ai import Agent, NativeOutput

    class Ticket(BaseModel):
        team: str
        urgency: int

    plain = Agent(description="Answers in words")
    tickets = Agent(output_type=list[Ticket])
    native = Agent(output_type=NativeOutput(Ticket))
    either = Agent(output_type=[str, Ticket])
    number = Agent(output_type=float)

    tooled = Agent(output_type=Ticket)
    seen = []

    @tooled.tool_plain
    def find_customer(email: str) -> str:
        """Find a customer."""
        seen.append(email)
        return f"customer of {email}"

    @tooled.tool_plain
    async def open_tickets(customer: str) -> int:
        """Count a customer's open tickets."""
        await asyncio.sleep(0)
        return 3

    broken = Agent()

    @broken.tool_plain
    def fail() -> str:
        raise ValueError("SECRET-TEXT of the tool")

    with_model = Agent("test", name="own")
'''

Write = Callable[..., dict[str, str]]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a module `acme`, and give the environment in which it can be imported."""

    def write_module(code: str = AGENTS, **environment: str) -> dict[str, str]:
        folder = tmp_path / "code"
        folder.mkdir(exist_ok=True)
        (folder / "acme.py").write_text(textwrap.dedent(code))
        path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
        return {"PYTHONPATH": path, **environment}

    return write_module


def own(entrypoint: str, *models: Json, **fields: object) -> Json:
    """Give the configuration of an agent in own code."""
    names = {"namespace": "support", "name": "triage", "revision": "a1b2c3d4e5"}
    return {"contractVersion": 1, **names, "entrypoint": entrypoint, "models": list(models), **fields}


def problems_of(runtime: RuntimeProcess) -> list[Json]:
    assert runtime.exit_code() == REFUSED, runtime.log_text()
    failure = json.loads(runtime.termination_log.read_text())
    assert failure["kind"] == "Configuration"
    problems: list[Json] = failure["problems"]
    return problems


TICKET = {"team": "billing", "urgency": 4}


@pytest.mark.parametrize(
    "case",
    [
        ("tickets", {"response": [TICKET, TICKET]}, [TICKET, TICKET]),
        ("either", TICKET, TICKET),
        ("number", {"response": 1.5}, 1.5),
    ],
    ids=lambda case: case[0],
)
def test_a_structured_output_is_answered_as_json_and_described(
    start: Start, write: Write, model_server: ModelServer, case: tuple[str, Json, Any]
) -> None:
    name, filled_in, output = case
    model_server.will(fills_in(filled_in), fills_in(filled_in))
    runtime = start(own(f"acme:{name}", scripted(model_server)), **write())

    assert runtime.run("The house burns").json["output"] == output
    assert [event.data["output"] for event in events_of(runtime.run("Again", stream=True).body)] == [output]
    schema = runtime.request("GET", "/v1/agent").json["output_schema"]
    kind = {dict: "object", list: "array", float: "number"}[type(output)]
    assert kind in {each["type"] for each in schema.get("anyOf", [schema])}


def test_a_native_output_is_asked_for_by_its_schema(start: Start, write: Write, model_server: ModelServer) -> None:
    model_server.will(says(json.dumps(TICKET)))
    runtime = start(own("acme:native", scripted(model_server)), **write())

    assert runtime.run("The house burns").json["output"] == TICKET
    assert "json_schema" in model_server.requests[0]["response_format"]


def test_a_text_streams_in_pieces(start: Start, write: Write, model_server: ModelServer) -> None:
    model_server.will(says("Once upon a time"))
    runtime = start(own("acme:plain", scripted(model_server)), **write())

    events = events_of(runtime.run("Tell me a story", stream=True).body)

    assert [event.name for event in events] == ["delta"] * 4 + ["result"]
    card = runtime.request("GET", "/v1/agent").json
    assert (card["name"], card["description"]) == ("triage", "Answers in words")
    assert card["output_schema"] == {"type": "string"}


def test_tools_are_called_and_the_answer_tells_every_attempt(
    start: Start, write: Write, model_server: ModelServer
) -> None:
    model_server.will(
        calls("find_customer", {"email": "bob@example.org"}),
        calls("open_tickets", {"customer": "bob"}),
        fills_in(TICKET),
    )
    runtime = start(own("acme:tooled", scripted(model_server)), **write())

    answer = runtime.run("bob@example.org has a problem").json

    assert answer["output"] == TICKET
    assert answer["usage"] == {"requests": 3, "input_tokens": 33, "output_tokens": 21}
    assert [attempt["outcome"] for attempt in answer["attempts"]] == ["ok"] * 3
    told = [message["content"] for message in model_server.requests[2]["messages"] if message["role"] == "tool"]
    assert told == ["customer of bob@example.org", "3"]


def test_a_tool_that_fails_is_opaque_outside(start: Start, write: Write, model_server: ModelServer) -> None:
    model_server.will(calls("fail", {}), says("Still here"))
    runtime = start(own("acme:broken", scripted(model_server)), **write())

    answer = runtime.run("Hello")

    assert (answer.status, answer.json["detail"]) == (500, "the agent failed; its log has the request id and the place")
    (line,) = runtime.errors()
    assert "acme.py" in line["error"][0]
    assert "SECRET-TEXT" not in answer.body.decode() + runtime.log_text()
    assert runtime.outcome("agent_failed") == 1
    assert runtime.run("Hello").json["output"].strip() == "Still here"


EXITS = """
    import sys

    from pydantic_ai import Agent, RunContext

    agent = Agent()

    @agent.tool_plain
    def plain() -> str:
        sys.exit(0)

    @agent.tool_plain
    async def coroutine() -> str:
        sys.exit(0)

    @agent.tool_plain
    async def interrupt() -> str:
        raise KeyboardInterrupt

    @agent.instructions
    async def instruct(context: RunContext[None]) -> str:
        return sys.exit(0) if context.prompt == "instructions" else "Be kind"

    @agent.output_validator
    async def check(context: RunContext[None], output: str) -> str:
        return sys.exit(0) if context.prompt == "validator" else output
"""


@pytest.mark.parametrize("stream", [False, True])
def test_own_code_that_exits_in_a_run_fails_that_run_alone(
    start: Start, write: Write, model_server: ModelServer, *, stream: bool
) -> None:
    model_server.will(after_release(says("Still here")))
    runtime = start(own("acme:agent", scripted(model_server)), **write(EXITS))
    other = runtime.open_run({"input": "Hello"})
    until(lambda: model_server.requests, "another request runs")

    for way in ("plain", "coroutine", "interrupt", "instructions", "validator"):
        if way != "instructions":
            model_server.will(says("Hello") if way == "validator" else calls(way, {}))
        answer = runtime.run(way, stream=stream)
        told = events_of(answer.body)[-1].data if answer.status == 200 else answer.json
        assert (told["status"], told["detail"]) == (500, "the agent failed; its log has the request id and the place")

    model_server.release.set()
    assert json.loads(read_all(other))["output"] == "Still here"
    assert runtime.outcome("agent_failed") == len(runtime.errors()) == 5
    assert any("SystemExit at " in line and "acme.py" in line for line in runtime.errors()[0]["error"])


def test_an_agents_own_model_answers_where_no_other_is_named(start: Start, write: Write) -> None:
    runtime = start(own("acme:with_model"), **write())

    answer = runtime.run("Hello")

    assert answer.json["output"] == "success (no tool calls)"
    assert [attempt["model"] for attempt in answer.json["attempts"]] == ["test:test"]
    assert runtime.manage("/state").json["models"] == ["test:test"]
    assert runtime.outcome("ok") == 1


def test_the_chain_takes_the_place_of_the_agents_own_model(
    start: Start, write: Write, model_server: ModelServer
) -> None:
    model_server.will(says("From the chain"))
    down = {"model": "vllm:down", "baseUrl": "http://127.0.0.1:9/v1"}
    runtime = start(own("acme:with_model", down, scripted(model_server)), **write())

    answer = runtime.run("Hello").json

    assert answer["output"] == "From the chain"
    assert [attempt["model"] for attempt in answer["attempts"]] == ["vllm:down", "vllm:scripted"]


def test_what_a_filter_cut_is_no_answer_of_own_code_either(
    start: Start, write: Write, model_server: ModelServer
) -> None:
    model_server.will(is_filtered)
    runtime = start(own("acme:plain", scripted(model_server)), **write())

    assert runtime.run("Hello").json["type"] == "urn:mizzen:problem:model-refused"


def test_an_async_factory_shares_the_servers_event_loop(start: Start, write: Write) -> None:
    code = """
        import asyncio
        from pydantic_ai import Agent
        from pydantic_ai.models.function import FunctionModel
        from pydantic_ai.messages import ModelResponse, TextPart

        async def make():
            queue = asyncio.Queue()

            async def serve():
                while True:
                    question, answer = await queue.get()
                    answer.set_result("from the task that the factory started")

            worker = asyncio.create_task(serve())

            async def ask(messages, info):
                answer = asyncio.get_running_loop().create_future()
                await queue.put((worker, answer))
                return ModelResponse(parts=[TextPart(await answer)])

            return Agent(FunctionModel(ask))
    """
    runtime = start(own("acme:make"), **write(code))

    assert runtime.run("Hello").json["output"] == "from the task that the factory started"


def test_an_import_error_is_told_with_its_last_line_and_logged_in_whole(start: Start, write: Write) -> None:
    runtime = start(own("acme:agent"), **write("import json, logging\nlogging.disable()\njson.loads('{')"))

    (problem,) = problems_of(runtime)
    assert problem["field"] == "spec.entrypoint"
    found, _, said = problem["message"].partition(": ")
    assert found.startswith("importing acme failed at ")
    assert found.endswith("acme.py:3 in <module>")
    assert said.startswith("json.decoder.JSONDecodeError: Expecting property name enclosed in double quotes: ")
    traced, told = runtime.errors()
    assert traced["message"] == "importing acme failed"
    assert traced["traceback"][0] == "Traceback (most recent call last):"
    assert "    json.loads('{')" in traced["traceback"]
    assert told["field"] == "spec.entrypoint"


def test_own_codes_fault_is_told_beside_every_other(start: Start, write: Write, tmp_path: Path) -> None:
    key = {"name": "llm", "key": "token", "path": str(tmp_path / "missing")}
    model = {"model": "openai-chat:gpt-5", "apiKey": key}

    problems = problems_of(start(own("acme:agent", model), **write("import nothing_like_it")))

    assert [problem["field"] for problem in problems] == ["spec.models[0].apiKey.secretKeyRef", "spec.entrypoint"]


def test_an_agent_that_cannot_be_served_is_told_all_that_is_in_the_way(start: Start, write: Write) -> None:
    code = """
        from pydantic_ai import Agent, DeferredToolRequests

        class Opaque: ...

        def make_opaque(amount: float) -> Opaque: ...

        agent = Agent(deps_type=str, output_type=[make_opaque, DeferredToolRequests])
    """

    problems = problems_of(start(own("acme:agent"), **write(code)))

    assert [problem["message"].partition(",")[0].partition(":")[0] for problem in problems] == [
        "the agent wants dependencies of type str",
        "its output may be DeferredToolRequests",
        "its output has no JSON schema",
        "the agent has no model",
    ]


HANGS = {
    "import": ("import logging, time\nlogging.disable()\ntime.sleep(3600)", "importing acme", 3),
    "factory": ("import threading\ndef make():\n    threading.Event().wait()", "calling acme:make", 3),
    "async factory": (
        "import asyncio\nasync def make():\n  await connect()\nasync def connect():\n  await asyncio.Event().wait()",
        "calling acme:make",
        5,
    ),
    "async factory that blocks": ("import time\nasync def make():\n    time.sleep(3600)", "calling acme:make", 3),
}


@pytest.mark.parametrize("name", HANGS)
def test_own_code_that_hangs_is_told_with_the_place_and_ends_the_process(start: Start, write: Write, name: str) -> None:
    code, doing, line = HANGS[name]
    runtime = start(own("acme:make"), "--own-code-timeout", "0.5", **write(code))

    (problem,) = problems_of(runtime)

    assert problem["message"].startswith(f"{doing} takes longer than 0.5 s; it is at ")
    assert f"acme.py:{line} in " in problem["message"]
    stacks, told = runtime.errors()
    assert stacks["message"] == "own code holds up the start; where every thread is:"
    assert {"MainThread", "build"} <= stacks["stacks"].keys()
    assert told["field"] == "spec.entrypoint"


def test_probes_are_answered_while_own_code_takes_its_time(start: Start, write: Write) -> None:
    runtime = start(own("acme:make"), **write("import time\ntime.sleep(3600)"))

    until(lambda: runtime.manage("/livez").status == 200, "alive")
    assert runtime.manage("/startupz").status == 503


@pytest.mark.parametrize(
    "code",
    [
        "import pathlib, time\n{reached}\ntime.sleep(3600)",
        "import asyncio, pathlib\nasync def make():\n  {reached}\n  await asyncio.sleep(3600)",
    ],
    ids=["import", "async factory"],
)
def test_a_pod_that_is_asked_to_leave_does_not_wait_for_own_code(
    start: Start, write: Write, tmp_path: Path, code: str
) -> None:
    reached = tmp_path / "reached"
    runtime = start(own("acme:make"), **write(code.format(reached=f"pathlib.Path({str(reached)!r}).touch()")))
    until(reached.exists, "own code runs", START_SECONDS)

    asked = time.monotonic()
    runtime.terminate()

    assert runtime.exit_code() == 0
    assert time.monotonic() - asked < OWN_CODE_SECONDS / 2
    assert not runtime.termination_log.exists()
    assert runtime.errors() == []


def test_own_code_cannot_end_the_process_as_if_all_were_well(start: Start, write: Write) -> None:
    (problem,) = problems_of(start(own("acme:make"), **write("import sys\nsys.exit(0)")))

    assert problem["message"].endswith("acme.py:2 in <module>: SystemExit: 0")


def test_threads_that_own_code_leaves_behind_do_not_keep_the_process(start: Start, write: Write) -> None:
    code = """
        import threading
        from pydantic_ai import Agent

        threading.Thread(target=threading.Event().wait, name="poller", daemon=False).start()
        agent = Agent("test")
    """
    runtime = start(own("acme:agent"), **write(code))
    assert runtime.run("Hello").status == 200

    runtime.terminate()

    assert runtime.exit_code() == 0
    assert runtime.wait_logged("the process ends without waiting for its threads")["threads"] == ["poller"]


def test_a_thread_that_a_factory_gave_up_on_does_not_keep_the_refusal(start: Start, write: Write) -> None:
    code = """
        import asyncio
        import threading

        async def make():
            await asyncio.wait_for(asyncio.to_thread(threading.Event().wait), 0.1)
    """
    runtime = start(own("acme:make"), **write(code))

    (problem,) = problems_of(runtime)

    assert "TimeoutError" in problem["message"]
    assert runtime.wait_logged("the process ends without waiting for its threads")


def test_a_thread_that_a_tool_gave_up_on_does_not_keep_a_drained_process(
    start: Start, write: Write, model_server: ModelServer
) -> None:
    code = """
        import asyncio
        import threading

        from pydantic_ai import Agent

        agent = Agent()

        @agent.tool_plain
        async def ask() -> str:
            await asyncio.wait_for(asyncio.to_thread(threading.Event().wait), 0.1)
            return "never"
    """
    model_server.will(calls("ask", {}))
    runtime = start(own("acme:agent", scripted(model_server)), **write(code))
    assert runtime.run("Hello").status == 500
    assert runtime.errors()

    runtime.terminate()

    assert runtime.exit_code() == 0
    assert runtime.wait_logged("drained")
    assert runtime.wait_logged("the process ends without waiting for its threads")


def test_a_thread_of_own_code_that_failed_does_not_keep_the_refusal(start: Start, write: Write) -> None:
    code = "import threading\nthreading.Thread(target=threading.Event().wait, daemon=False).start()\n1 / 0"

    (problem,) = problems_of(start(own("acme:agent"), **write(code)))

    assert "ZeroDivisionError" in problem["message"]


def test_own_code_that_sets_up_the_log_in_its_way_and_prints_does_not_break_ours(start: Start, write: Write) -> None:
    code = """
        import logging, logging.config, sys
        from pydantic_ai import Agent

        logging.basicConfig(level=logging.DEBUG, format="PLAIN %(message)s", force=True)
        logging.config.dictConfig({"version": 1})
        logging.getLogger().handlers.clear()
        logging.getLogger("mizzen").propagate = False
        logging.disable(logging.CRITICAL)
        sys.excepthook = sys.stderr = None
        print("own code prints")
        agent = Agent("test")

        @agent.instructions
        def instructions() -> str:
            logging.getLogger(__name__).info("own code speaks")
            return "Be kind"
    """
    runtime = start(own("acme:agent"), **write(code))
    assert runtime.run("Hello").status == 200
    runtime.terminate()
    assert runtime.exit_code() == 0

    lines = runtime.log_text().splitlines()
    assert all(line.startswith("{") for line in lines), lines
    assert {"serving", "own code speaks", "draining"} <= {line["message"] for line in runtime.log()}
    (spoken,) = [line for line in runtime.log() if line["message"] == "own code speaks"]
    assert (spoken["logger"], spoken["level"], spoken["agent"]) == ("acme", "info", "triage")
    assert runtime.output() == "own code prints\n", "what is printed goes to standard output, beside the log"


def test_no_secret_of_the_pod_is_in_what_a_failed_start_says(start: Start, write: Write, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk-model-key\n")
    key = {"name": "llm", "key": "token", "path": str(tmp_path / "key")}
    code = f"""
        import os, pathlib

        token = os.environ["CRM_TOKEN"]
        key = pathlib.Path({str(tmp_path / "key")!r}).read_text().strip()
        address = "https://bob:" + "hunter2" + "@crm/"
        raise RuntimeError(f"{{token}} and {{key}} do not open {{address}} in {{os.environ['REGION']}}")
    """
    model = {"model": "openai-chat:gpt-5", "apiKey": key}
    config = own("acme:agent", model, secretVariables=["CRM_TOKEN", "NOT_SET"])
    runtime = start(config, **write(code, CRM_TOKEN="crm-secret-value", REGION="eu-west"))

    (problem,) = problems_of(runtime)

    said = runtime.log_text() + runtime.termination_log.read_text()
    assert (
        "RuntimeError: <redacted> and <redacted> do not open https://<redacted>@crm/ in eu-west" in problem["message"]
    )
    for secret in ("crm-secret-value", "sk-model-key", "hunter2"):
        assert secret not in said
