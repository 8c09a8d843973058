"""Loading own code: what an entrypoint may name, and what is said when it is something else."""

import asyncio
import logging
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from mizzen_api.problems import Problem
from mizzen_runtime.agent.entrypoint import Host, OwnAgent, load_agent
from mizzen_runtime.agent.own_base import OwnBase
from mizzen_runtime.config import ConfigRefused
from mizzen_runtime.own_code.imports import OwnCodeLoader
from mizzen_runtime.own_code.start_watch import StartWatch
from mizzen_runtime.production_agent import AgentConfig
from mizzen_runtime.redaction import Redactor

SECRET = "sk-proj-0123456789-abcdefghijklmnopqrstuvwxyz-9876543210"
REBUILD = "the pod's log has the whole traceback; mend the code and build its image anew"
EXPECTED = (
    "name a pydantic_ai.Agent, a class that derives from ProductionAgentBase, or a function without parameters that "
    "gives an agent"
)
LIMITS = AgentConfig(max_concurrent_requests=3)


def never(problem: Problem) -> NoReturn:
    raise AssertionError(problem)


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    """An event loop that runs in a thread of its own, as the server's does."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield Host(loop, thread.ident or 0, 60, never)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


Write = Callable[[str], object]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write the module `acme.agents`."""
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield lambda code: (tmp_path / "acme" / "agents.py").write_text(textwrap.dedent(code))
    for name in [name for name in sys.modules if name.partition(".")[0] == "acme"]:
        del sys.modules[name]
    root.handlers[:] = before
    root.setLevel(level)


@pytest.fixture
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """No provider finds a key of whoever runs the tests."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture
def logged() -> Iterator[list[logging.LogRecord]]:
    """Collect what is logged of a start; by a filter, since a start sets up the handlers anew."""
    records: list[logging.LogRecord] = []

    def collect(record: logging.LogRecord) -> bool:
        records.append(record)
        return True

    logger = logging.getLogger("mizzen.start")
    logger.addFilter(collect)
    yield records
    logger.removeFilter(collect)


def load(host: Host, name: str = "triage", module: str = "acme.agents") -> OwnAgent | OwnBase:
    with StartWatch(host.seconds, never) as watch:
        return load_agent(f"{module}:{name}", host, OwnCodeLoader(watch, Redactor([SECRET])), "triage", LIMITS)


def refusal(host: Host, name: str = "triage", module: str = "acme.agents") -> tuple[str, str]:
    with pytest.raises(ConfigRefused) as refused:
        load(host, name, module)
    (problem,) = refused.value.problems
    assert problem.field == "spec.entrypoint"
    return problem.message, problem.remedy


AGENTS = """
    import asyncio, functools
    from pydantic_ai import Agent
    from pydantic_ai.agent import WrapperAgent

    triage = Agent("test", name="by name")
    wrapped = WrapperAgent(Agent("test", name="wrapped"))

    def factory(name="by factory"):
        return Agent("test", name=name)

    def factory_of_anything(*args, **kwargs):
        return Agent("test", name="by anything")

    async def async_factory():
        global loop
        loop = asyncio.get_running_loop()
        await asyncio.sleep(0)
        return Agent("test", name="by async factory")

    hidden = lambda: async_factory()
    partial = functools.partial(factory, name="by partial")

    class Triage(Agent):
        def __init__(self):
            super().__init__("test", name="by class")

    class Agents:
        triage = Agent("test", name="by attribute")

        @staticmethod
        def make():
            return Agent("test", name="by static method")
"""


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("triage", "by name"),
        ("wrapped", "wrapped"),
        ("factory", "by factory"),
        ("factory_of_anything", "by anything"),
        ("async_factory", "by async factory"),
        ("hidden", "by async factory"),
        ("partial", "by partial"),
        ("Triage", "by class"),
        ("Agents.triage", "by attribute"),
        ("Agents.make", "by static method"),
    ],
)
def test_an_agent_and_whatever_gives_one_is_taken(host: Host, write: Write, name: str, made: str) -> None:
    write(AGENTS)

    assert load(host, name).name == made


def test_an_async_factory_runs_on_the_servers_event_loop(host: Host, write: Write) -> None:
    write(AGENTS)

    load(host, "async_factory")

    assert sys.modules["acme.agents"].__dict__["loop"] is host.loop


def test_a_module_that_is_not_there_is_asked_for_in_the_image(host: Host, write: Write) -> None:
    remedy = "name the image that holds it in spec.pod.image, or correct the name"

    assert refusal(host, module="acme.agentz") == ("there is no module 'acme.agentz' in this image", remedy)
    assert refusal(host, module="acmee.agents") == ("there is no module 'acmee' in this image", remedy)


def test_a_module_that_own_code_misses_is_another_fault(host: Host, write: Write) -> None:
    write("\n\nimport acme_tools")

    message, remedy = refusal(host)

    assert message.startswith("importing acme.agents failed at ")
    assert message.endswith("acme/agents.py:3 in <module>: ModuleNotFoundError: No module named 'acme_tools'")
    assert remedy == "install it in the image"


def test_a_name_that_is_not_there_is_told_with_what_was_meant(host: Host, write: Write) -> None:
    write(AGENTS)

    assert refusal(host, "triagge") == ("acme.agents has no 'triagge'", "did you mean 'triage'?")
    assert refusal(host, "Agents.maker") == ("acme.agents:Agents has no 'maker'", "did you mean 'make'?")
    assert refusal(host, "xyz") == ("acme.agents has no 'xyz'", EXPECTED)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("triage = 'an agent'", "acme.agents:triage is of type str, which is no agent"),
        ("triage = None", "acme.agents:triage is of type NoneType, which is no agent"),
        ("import acme as triage", "acme.agents:triage is of type module, which is no agent"),
        ("class triage: pass", "acme.agents:triage is the class triage, which is no agent"),
        ("def triage(): pass", "acme.agents:triage gives a value of type NoneType, which is no agent"),
        ("async def triage(): return {}", "acme.agents:triage gives a value of type dict, which is no agent"),
        ("async def triage(): yield 1", "acme.agents:triage gives a value of type async_generator, which is no agent"),
    ],
)
def test_what_is_no_agent_is_told_with_its_type(host: Host, write: Write, code: str, message: str) -> None:
    write(code)

    assert refusal(host) == (message, EXPECTED)


def test_a_factory_that_needs_something_is_told_what_it_is(host: Host, write: Write) -> None:
    write("def triage(database, *, http, retries=3): ...")

    assert refusal(host) == (
        "acme.agents:triage needs database, http, and nothing gives it that",
        "give each parameter a default, or let the function make what it needs itself",
    )


@pytest.mark.usefixtures("no_key")
@pytest.mark.parametrize(
    ("code", "last_line", "place"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero", "agents.py:1 in <module>"),
        ("raise SystemExit(3)", "SystemExit: 3", "agents.py:1 in <module>"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt", "agents.py:1 in <module>"),
        ("class E(Exception): __str__ = None\nraise E", "acme.agents.E: <exception str() failed>", "agents.py:2 in"),
        ("raise ValueError('two\\nlines')", "ValueError: two lines", "agents.py:1 in <module>"),
        ("import json\njson.loads('{')", "json.decoder.JSONDecodeError: Expecting property name", "agents.py:2 in"),
        ("def f(: pass", "SyntaxError: invalid syntax", None),
        (
            "from pydantic_ai import Agent\ntriage = Agent('openai:gpt-5')",
            "pydantic_ai.exceptions.UserError: Set the `OPENAI_API_KEY` environment variable",
            "agents.py:2 in <module>",
        ),
    ],
)
def test_an_import_that_fails_is_told_with_the_last_line_and_its_place_in_own_code(
    host: Host, write: Write, code: str, last_line: str, place: str | None
) -> None:
    write(code)

    message, _ = refusal(host)

    found, _, said = message.removeprefix("importing acme.agents failed").partition(": ")
    assert last_line in said
    assert place in found if place else found == ""


@pytest.mark.parametrize(
    "code",
    [
        "def triage(): raise ValueError('no database')",
        "async def triage(): raise ValueError('no database')",
        "async def triage(): await helper()\nasync def helper(): raise ValueError('no database')",
        "class Later:\n  def __await__(self): raise ValueError('no database')\n\ndef triage(): return Later()",
    ],
)
def test_a_factory_that_raises_is_told_likewise(host: Host, write: Write, code: str) -> None:
    write(code)

    message, remedy = refusal(host)

    assert message.startswith("calling acme.agents:triage failed at ")
    assert "/acme/agents.py:" in message
    assert message.endswith(": ValueError: no database")
    assert remedy == REBUILD


@pytest.mark.parametrize("ending", ["SystemExit(3)", "KeyboardInterrupt()", "asyncio.CancelledError()"])
def test_an_async_factory_cannot_end_the_event_loop(host: Host, write: Write, ending: str) -> None:
    write(f"import asyncio\nasync def triage(): raise {ending}")

    assert ending.partition("(")[0].rpartition(".")[2] in refusal(host)[0]
    write_again = asyncio.run_coroutine_threadsafe(asyncio.sleep(0, "alive"), host.loop)
    assert write_again.result(10) == "alive"


@pytest.mark.usefixtures("no_key")
def test_a_key_that_is_missing_is_told_where_to_give_it(host: Host, write: Write) -> None:
    write("from pydantic_ai import Agent\ntriage = Agent('openai:gpt-5')")

    assert refusal(host)[1] == (
        "a key belongs in spec.pod.env, from a Secret; or name the models in spec.models and none in the code"
    )


def test_a_package_that_is_missing_is_told_with_the_way_into_the_image(host: Host, write: Write) -> None:
    write("raise ImportError('Please install `groq`: pip install \"pydantic-ai-slim[groq]\"')")

    assert refusal(host)[1] == (
        "build an image on the runtime's with `pip install 'mizzen[groq]'` and name it in spec.pod.image"
    )


def test_the_log_has_the_whole_traceback_and_begins_in_own_code(
    host: Host, write: Write, logged: list[logging.LogRecord]
) -> None:
    write("def triage():\n    connect('db')\n\ndef connect(name):\n    raise OSError(f'{name} is down')")

    refusal(host)

    (record,) = logged
    lines = vars(record)["traceback"]
    assert record.getMessage() == "calling acme.agents:triage failed"
    assert lines[0] == "Traceback (most recent call last):"
    assert "agents.py" in lines[1]
    assert "    connect('db')" in lines
    assert lines[-1] == "OSError: db is down"


def test_a_secret_in_what_own_code_says_is_told_nowhere(
    host: Host, write: Write, logged: list[logging.LogRecord]
) -> None:
    write(f"""
        from pydantic import BaseModel
        key = "{SECRET[:6]}" + "{SECRET[6:]}"

        class Settings(BaseModel):
            port: int

        def triage():
            try:
                Settings(port=key)
            except ValueError as error:
                raise RuntimeError("https://bob:hunter22@crm.example/ takes no " + key) from error
    """)

    message, _ = refusal(host)

    told = message + str(vars(logged[0])["traceback"])
    assert "RuntimeError: https://<redacted>@crm.example/ takes no <redacted>" in message
    assert "input_value='<redacted>...<redacted>'" in told
    for piece in (SECRET, SECRET[:12], SECRET[-12:], "hunter22"):
        assert piece not in told
