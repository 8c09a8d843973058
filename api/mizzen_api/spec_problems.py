"""What the schema lets through and still cannot be built: told by the operator, and on a laptop before that."""

from collections.abc import Iterable

from mizzen_api.agentdeployment import AgentDeployment
from mizzen_api.names import GROUP, LABEL_INSTANCE, LABEL_MANAGED_BY, LABEL_NAME
from mizzen_api.problems import Problem

_OWN_LABELS = (LABEL_NAME, LABEL_INSTANCE, LABEL_MANAGED_BY)


def spec_problems(agent: AgentDeployment) -> tuple[Problem, ...]:
    """Find all that is wrong with a spec which has passed its schema."""
    return (*_label_problems(agent), *_repeated_names(agent))


def _label_problems(agent: AgentDeployment) -> tuple[Problem, ...]:
    return tuple(
        Problem(
            field=f"spec.pod.labels[{key!r}]",
            message="the operator finds the pods by this label and sets it itself",
            remedy="remove it",
        )
        for key in agent.spec.pod.labels
        if key in _OWN_LABELS or key.split("/")[0] == GROUP
    )


def _repeated_names(agent: AgentDeployment) -> tuple[Problem, ...]:
    """Find entries of one name: Kubernetes refuses such lists with a message that nobody understands."""
    pod = agent.spec.pod
    spread = [f"{item.get('topologyKey')}/{item.get('whenUnsatisfiable')}" for item in pod.topology_spread_constraints]
    return (
        *_repetitions("spec.pod.env", [variable.name for variable in pod.env]),
        *_repetitions("spec.pod.imagePullSecrets", [secret.name for secret in pod.image_pull_secrets]),
        *_repetitions("spec.pod.topologySpreadConstraints", spread),
    )


def _repetitions(field: str, names: Iterable[str]) -> list[Problem]:
    seen: set[str] = set()
    problems = []
    for index, name in enumerate(names):
        if name in seen:
            problems.append(
                Problem(field=f"{field}[{index}]", message=f"{name!r} is there before", remedy="leave one of them")
            )
        seen.add(name)
    return problems
