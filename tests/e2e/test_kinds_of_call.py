"""Kinds of call to a runtime that asks a real language model: of `docs/failures.md`, what needs no model that fails.

`tests/integration/runtime/test_fault_matrix.py` executes the whole table with a model that fails as it is told.
"""

from collections.abc import Iterator, Mapping

import pytest

from tests.conftest import Platform
from tests.integration.runtime.fault_matrix import AGENTS, KINDS, counted, declared
from tests.integration.runtime.process import RuntimeProcess, config_of

MODEL = "openai-chat:smollm2-135m"
AWAY = {"model": "vllm:away", "baseUrl": "http://127.0.0.1:9/v1"}
BRIEF = {"instructions": "You answer in one short sentence.", "model_settings": {"temperature": 0.0, "max_tokens": 64}}
IN_TEXT = [name for name, kind in KINDS.items() if kind.agent not in {"tools", "structured"}]
"""A model so small calls no tools, and a structured answer is asked for as a tool's call."""


@pytest.fixture(scope="module")
def runtimes(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, RuntimeProcess]]:
    """A runtime for each agent, beside the cluster that the model runs in."""
    real = {"model": MODEL, "baseUrl": f"{platform.models.address('model-server')}/v1"}
    running = {
        name: RuntimeProcess(
            tmp_path_factory.mktemp(name),
            config_of(*([AWAY] if agent.has_second_model else []), real, **BRIEF, **agent.spec),
        )
        for name, agent in AGENTS.items()
        if any(KINDS[kind].agent == name for kind in IN_TEXT)
    }
    yield running
    for runtime in running.values():
        runtime.close()
        runtime.assert_no_stray_errors()


@pytest.mark.parametrize("name", IN_TEXT)
def test_a_real_model_answers_each_kind_of_call_in_text(runtimes: Mapping[str, RuntimeProcess], name: str) -> None:
    kind, runtime = KINDS[name], runtimes[KINDS[name].agent]
    fault = "refuses the connection" if AGENTS[kind.agent].has_second_model else "nothing"
    before = runtime.metrics()
    told = kind.read(kind.call(runtime))
    after = runtime.metrics()
    assert told.in_the_pages_words() == declared()[fault, name]
    assert told.attempts[-1] == (MODEL, "ok")
    assert counted(before, after) == {"ok": 1}
