"""The table of `docs/failures.md`: what a model can do wrong (rows), the kinds of call (columns), what comes of it.

The page declares each cell; here is how its rows and columns are made to come true.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Final

from manifests.chart_values import CHECKOUT
from tests.integration.runtime import model_server as model
from tests.integration.runtime.model_server import Behaviour
from tests.integration.runtime.process import Answer, Json, RuntimeProcess, events_of

PAGE: Final = (CHECKOUT / "docs" / "failures.md").read_text()
OUTCOMES = "mizzen_requests_total{"
FIRST, SECOND = "vllm:first", "vllm:second"
DEFAULT_RETRY_SECONDS = 1
"""After which to ask again where no provider said so."""
TOO_LATE_SECONDS = 20
"""Beyond the time that anybody is given, by seconds: nobody waits for it, unless something is wrong."""


@dataclass(frozen=True)
class Fault:
    """What the first model does."""

    behaviour: Callable[[Behaviour], Behaviour]
    """Makes what it does of what it would do if nothing were wrong."""
    in_a_hurry: bool = False
    """Whether the caller gives the request less than the model has."""
    retry_after: int = 0
    """Seconds for which the model says that it wants not to be asked."""
    is_there: bool = True
    """Whether the model's server takes connections."""


def always(behaviour: Behaviour) -> Callable[[Behaviour], Behaviour]:
    """Do this, whatever would be right."""
    return lambda _: behaviour


FAULTS: Final[Mapping[str, Fault]] = {
    "nothing": Fault(lambda right: right),
    "answers late, in time": Fault(lambda right: model.late(0.3, right)),
    "answers after its `requestTimeout`": Fault(lambda right: model.late(TOO_LATE_SECONDS, right)),
    "answers after the request's time": Fault(lambda right: model.late(TOO_LATE_SECONDS, right), in_a_hurry=True),
    "never answers": Fault(always(model.hangs)),
    "429, `Retry-After: 2`": Fault(always(model.fails(429, retry_after="2")), retry_after=2),
    "429, `Retry-After: 4`, the request has less": Fault(
        always(model.fails(429, retry_after="4")), in_a_hurry=True, retry_after=4
    ),
    "500": Fault(always(model.fails(500))),
    "400": Fault(always(model.fails(400))),
    "401": Fault(always(model.fails(401))),
    "refuses the connection": Fault(lambda right: right, is_there=False),
    "closes without a word": Fault(always(model.drops_the_connection)),
    "closes after the head": Fault(always(model.ends_after_the_head)),
    "ends in the middle": Fault(always(model.cuts_the_stream)),
    "breaks off in the middle": Fault(always(model.breaks_the_connection)),
    "is silent from the middle on, past the request's time": Fault(
        always(model.hangs_after_first_word), in_a_hurry=True
    ),
    "no JSON": Fault(always(model.talks_garbage)),
    "JSON of another shape": Fault(always(model.answers_nothing)),
    "garbage from the middle on": Fault(always(model.turns_to_garbage)),
}


@dataclass(frozen=True)
class Told:
    """What the caller was told."""

    problem: Json | None
    """Problem details; None for an answer."""
    attempts: list[tuple[str, str]]
    """The models that were asked, and how that ended."""
    in_event: bool = False
    """Whether an answer had begun as a stream, and ended with an error event."""
    retry_after: int | None = None
    """Seconds after which to ask again."""

    @property
    def outcome(self) -> str:
        """How the request ended."""
        if self.problem is None:
            return "ok"
        return str(self.problem["type"]).removeprefix("urn:mizzen:problem:").replace("-", "_")

    def in_the_pages_words(self) -> str:
        """Write it as the page does."""
        failed = [outcome for model, outcome in self.attempts if model != self.attempts[-1][0]]
        after = f" after `{failed[-1]}`" if failed else ""
        event = " in an event" if self.in_event else ""
        again = f", again in {self.retry_after} s" if self.retry_after not in {None, DEFAULT_RETRY_SECONDS} else ""
        return f"`{self.outcome}`{after}{event}{again}"


def whole(answer: Answer) -> Told:
    """Read the answer to a single request."""
    after = answer.headers.get("retry-after")
    if answer.status == 200:
        assert answer.headers["content-type"] == "application/json"
        assert after is None
        return Told(None, _attempts_of(answer.json))
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["status"] == answer.status
    return Told(answer.json, _attempts_of(answer.json), retry_after=None if after is None else int(after))


def streamed(answer: Answer) -> Told:
    """Read the answer to one that asked for a stream."""
    if not answer.headers["content-type"].startswith("text/event-stream"):
        assert answer.status != 200
        return whole(answer)
    assert answer.status == 200
    *before, last = events_of(answer.body)
    assert {event.name for event in before} <= {"delta"}
    if last.name == "result":
        return Told(None, _attempts_of(last.data))
    assert last.name == "error"
    return _part(last.data, in_event=True)


def only_item(answer: Answer) -> Told:
    """Read the answer to a batch of one, JSON or NDJSON."""
    assert answer.status == 200
    told = answer.json
    (result,) = told.get("results", [told])
    assert result["index"] == 0
    if result["status"] == "ok":
        return Told(None, _attempts_of(result))
    assert result["status"] == "error"
    return _part(result["error"])


def _part(problem: Json, *, in_event: bool = False) -> Told:
    return Told(problem, _attempts_of(problem), in_event, problem.get("retry_after"))


def _attempts_of(told: Json) -> list[tuple[str, str]]:
    return [(attempt["model"], attempt["outcome"]) for attempt in told["attempts"]]


@dataclass(frozen=True)
class Kind:
    """One kind of call."""

    agent: str
    """Which one of `AGENTS` is called."""
    path: str
    body: Json
    read: Callable[[Answer], Told]
    content_type: str = "application/json"
    right: Behaviour = field(default_factory=lambda: model.says("Here"))
    """What the model does if nothing is wrong."""
    before: tuple[Behaviour, ...] = ()
    """What it did before, in the same request."""

    def call(self, runtime: RuntimeProcess, *, in_a_hurry: bool = False) -> Answer:
        """Call the agent."""
        headers = {"Request-Timeout": str(AGENTS[self.agent].request_seconds)} if in_a_hurry else {}
        content = json.dumps(self.body).encode()
        return runtime.request("POST", self.path, content, port=None, content_type=self.content_type, **headers)


ASKED: Final = {"input": "Hello"}
STREAM: Final = {**ASKED, "stream": True}
NDJSON: Final = "application/x-ndjson"
TICKET = model.fills_in({"urgency": 4})
SHOUT = model.calls("shout", {"text": "hello"})
KINDS: Final[Mapping[str, Kind]] = {
    "single": Kind("text", "/v1/run", ASKED, whole),
    "structured": Kind("structured", "/v1/run", ASKED, whole, right=TICKET),
    "batch item": Kind("batch", "/v1/batch", {"requests": [ASKED]}, only_item),
    "NDJSON item": Kind("batch", "/v1/batch", ASKED, only_item, NDJSON),
    "after a tool": Kind("tools", "/v1/run", ASKED, whole, before=(SHOUT,)),
    "stream": Kind("text", "/v1/run", STREAM, streamed),
    "structured stream": Kind("structured", "/v1/run", STREAM, streamed, right=TICKET),
    "chain": Kind("chain", "/v1/run", ASKED, whole),
    "chain, stream": Kind("chain", "/v1/run", STREAM, streamed),
}


@dataclass(frozen=True)
class Agent:
    """One agent, with limits that are short, and yet leave a busy machine the time to ask a model that is quick."""

    spec: Json = field(default_factory=dict)
    """Its `spec.agent`."""
    has_second_model: bool = False
    model_seconds: float = 2.5
    """The first model's `requestTimeout`."""
    request_seconds: float = 1.5
    """What a caller in a hurry gives a request; less than a `Retry-After` of the table."""


SCHEMA: Final[Json] = {
    "type": "object",
    "properties": {"urgency": {"type": "integer"}},
    "required": ["urgency"],
    "additionalProperties": False,
}
AGENTS: Final[Mapping[str, Agent]] = {
    "text": Agent(),
    "structured": Agent({"output_schema": SCHEMA}),
    "batch": Agent(),
    "tools": Agent(model_seconds=5, request_seconds=3.5),  # it also asks a server of tools, some ten times
    "chain": Agent(has_second_model=True),
}
"""Each has a runtime and models of its own: cells of one are executed one after the other, of several side by side."""

Cell = tuple[str, str]
"""The fault and the kind of call."""
CELLS: Final[tuple[Cell, ...]] = tuple(product(FAULTS, KINDS))


def counted(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Give by how much the count of each outcome grew, if it did, from one answer of `/metrics` to another."""
    grown = {series: value - before[series] for series, value in after.items() if series.startswith(OUTCOMES)}
    return {series.split('"')[1]: by for series, by in grown.items() if by}


def _table_under(heading: str) -> list[list[str]]:
    """Give the rows of the page's table under a heading, its head first."""
    _, _, section = PAGE.partition(f"## {heading}\n")
    lines = [line for line in section.partition("\n## ")[0].splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in rows if not set("".join(row)) <= set("-")]


def declared() -> dict[Cell, str]:
    """Give what the page says of each cell."""
    (_, *kinds), *rows = _table_under("What comes of it")
    assert all(len(row) == len(kinds) + 1 for row in rows), "a row has another number of cells"
    told = [((fault, kind), cell) for fault, *cells in rows for kind, cell in zip(kinds, cells, strict=True)]
    assert len(dict(told)) == len(told), "a row or a column is there twice"
    return dict(told)


def outcomes_in(cell: str) -> list[str]:
    """Give the outcome that a cell of the page names, and behind it that of an attempt before, if it names one."""
    return re.findall(r"`(\w+)`", cell)


def declared_statuses() -> dict[str, tuple[int, bool]]:
    """Give the HTTP status that the page says an outcome has, and whether it comes with the time to ask again."""
    _, *rows = _table_under("How it is told")
    return {outcome.strip("`"): (int(status), again == "yes") for outcome, status, again, *_ in rows}
