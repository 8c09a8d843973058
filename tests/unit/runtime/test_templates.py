from typing import Any

import pytest
from pydantic_ai.messages import ModelRequest
from pydantic_ai.models.test import TestModel

from mizzen_api.contract import RuntimeConfig
from mizzen_runtime.agent.build import BuiltAgent, build_agent
from mizzen_runtime.agent.templates import FilledTexts, fill_templates
from mizzen_runtime.breakers import Breakers
from mizzen_runtime.mounted_secrets import MountedSecrets
from mizzen_runtime.production_agent import AgentConfig

NOTHING: Any = None
VALUES = {"team": "R&D", "limits": {"refund": 50}, "products": [{"name": "tea"}, {"name": "{{limits}}"}]}


def filled(**spec: Any) -> FilledTexts:
    texts, problems = fill_templates(spec, VALUES)
    assert problems == ()
    return texts


def told(values: dict[str, Any] | None = None, **spec: Any) -> list[str]:
    return [str(problem) for problem in fill_templates(spec, VALUES if values is None else values)[1]]


def test_templates_are_filled_as_they_stand() -> None:
    assert filled(
        instructions=["You help {{team}}.", "{{#each products}}{{name}} {{/each}}", r"\{{team}} and }}"],
        description="Refunds up to {{limits.refund}}",
        name="{{team}}",
    ) == FilledTexts(("You help R&D.", "tea {{limits}} ", "{{team}} and }}"), "Refunds up to 50")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            {"instructions": "Hello {{name}}"},
            (
                "spec.agent.instructions: holds a template of 'name', which nothing fills: the model would read "
                "nothing there; add 'name' to spec.vars, or write `\\{{` for literal braces"
            ),
        ),
        (
            {"instructions": ["Hello", "{{limits.return}}"]},
            (
                "spec.agent.instructions[1]: holds a template of 'limits.return', which nothing fills: the model would "
                "read nothing there; add 'limits.return' to spec.vars, or write `\\{{` for literal braces"
            ),
        ),
        (
            {"description": "For {{#if team}}"},
            (
                "spec.agent.description: holds a template that cannot be read: Unclosed block at line 1, "
                "column 17; correct the template, or write `\\{{` for literal braces"
            ),
        ),
    ],
)
def test_a_template_that_nothing_fills_is_told(spec: dict[str, Any], message: str) -> None:
    assert told(**spec) == [message]


def test_every_template_is_told_at_once() -> None:
    assert len(told({}, instructions=["{{a}} {{b}} {{a}}", "{{c}}"], description="{{d}}")) == 4


@pytest.mark.anyio
async def test_the_model_reads_what_fills_a_template_to_the_letter() -> None:
    config = RuntimeConfig(
        namespace="support",
        name="triage",
        revision="r",
        agent={"model": "test", "instructions": "Sell {{#each products}}{{name}},{{/each}}", "description": "{{team}}"},
        models=(),
        vars=VALUES,
    )
    secrets = MountedSecrets({}, {}, ())
    built = build_agent(config, secrets, NOTHING, NOTHING, [], limits=AgentConfig(), breakers=Breakers())
    assert isinstance(built, BuiltAgent)
    result = await built.agent.run("Hi", model=TestModel())
    request = next(message for message in result.all_messages() if isinstance(message, ModelRequest))
    assert request.instructions == "Sell tea,{{limits}},"
    assert built.description == "R&D"
