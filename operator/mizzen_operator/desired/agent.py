"""All objects of one AgentDeployment."""

from collections.abc import Iterable
from dataclasses import dataclass

from mizzen_api.agentdeployment import AgentDeployment
from mizzen_api.names import GROUP, LABEL_INSTANCE, LABEL_MANAGED_BY, LABEL_NAME
from mizzen_api.problems import Problem, join_problems
from mizzen_operator.desired.config_map import build_config_map, runtime_config, size_problem
from mizzen_operator.desired.deployment import build_deployment
from mizzen_operator.desired.manifest import Manifest
from mizzen_operator.desired.pod_template import build_pod_template
from mizzen_operator.desired.revision import revision_of
from mizzen_operator.desired.service import build_service
from mizzen_operator.desired.service_account import build_service_account

_OWN_LABELS = (LABEL_NAME, LABEL_INSTANCE, LABEL_MANAGED_BY)


class InvalidSpecError(ValueError):
    """The resource asks for something that cannot be built; `problems` says all of it."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(join_problems(problems))
        self.problems = problems


@dataclass(frozen=True)
class Desired:
    """What must be there for one AgentDeployment."""

    revision: str
    """Name of the revision."""
    children: tuple[Manifest, ...]
    """The objects, in the order in which they are applied: what a pod needs comes before the pods."""


def build_desired(agent: AgentDeployment, runtime_image: str) -> Desired:
    """Build every object of an agent.

    Args:
        agent: The resource as the API server holds it.
        runtime_image: What runs if the resource names no image.

    Raises:
        InvalidSpecError: The resource passes its schema and still cannot be built.
    """
    nameless = build_pod_template(agent, "", runtime_image)
    revision = revision_of(runtime_config(agent, ""), nameless)
    config_map = build_config_map(agent, revision)
    problems = (*_label_problems(agent), *_repeated_names(agent), *filter(None, [size_problem(config_map)]))
    if problems:
        raise InvalidSpecError(problems)
    children = (
        build_service_account(agent),
        config_map,
        build_service(agent),
        build_deployment(agent, build_pod_template(agent, revision, runtime_image)),
    )
    return Desired(revision, tuple(child for child in children if child is not None))


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
