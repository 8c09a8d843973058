"""Rendered objects, kept to be looked at in reviews. `python -m tests.unit.operator.golden` writes them anew."""

from pathlib import Path

import yaml

from mizzen_api.agentdeployment import AgentDeployment
from tests.unit.operator.agents import golden_agents
from tests.unit.operator.builders import desired_for

FOLDER = Path(__file__).parent
COMMAND = "python -m tests.unit.operator.golden"


def render(agent: AgentDeployment) -> str:
    """Give all objects of an agent as YAML, in the order in which they are applied."""
    return yaml.safe_dump_all(desired_for(agent).children, sort_keys=False, width=120)


def write() -> None:
    """Write every golden file."""
    for name, agent in golden_agents().items():
        (FOLDER / f"{name}.yaml").write_text(render(agent))
