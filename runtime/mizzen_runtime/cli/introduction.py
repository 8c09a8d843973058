"""What a user is told when an agent has come up."""

from collections.abc import Iterator

from pydantic.alias_generators import to_camel

from mizzen_api.agentdeployment import AgentDeployment
from mizzen_api.contract import RuntimeConfig
from mizzen_runtime.cli.arguments import RunOptions
from mizzen_runtime.cli.console import Console
from mizzen_runtime.cli.files import STANDARD_INPUT

_POD_FIELDS_USED = frozenset({"env", "image", "labels", "annotations", "service_account_name"})
"""Of `spec.pod`: what is used here, if only as a variable's value, or was told of before."""


def url_of(options: RunOptions, port: int) -> str:
    """Give the address of one of the two ports."""
    host = f"[{options.host}]" if ":" in options.host else options.host
    return f"http://{host}:{port}"


def introduction(agent: AgentDeployment, config: RuntimeConfig, options: RunOptions, console: Console) -> Iterator[str]:
    """Say what runs where, and how to try it."""
    url = url_of(options, options.port)
    management = url_of(options, options.management_port)
    yield f"{console.bold(f'{config.namespace}/{config.name}')} serves at {console.bold(url)}"
    yield f"  curl {url}/v1/run -H 'Content-Type: application/json' -d '{{\"input\": \"Hello\"}}'"
    yield f"  {management}/readyz?verbose, /metrics and /state tell how it is"
    for model in config.models:
        yield f"  model {model.model}{f' at {model.base_url}' if model.base_url else ''}"
    for service in config.services or ():
        yield f"  service {service.name}: {service.interface} by {service.implementation}"
    if options.test_services:
        yield "  test doubles stand in for services that have one"
    if for_pods := agent.spec.pod.model_fields_set - _POD_FIELDS_USED:
        names = ", ".join(sorted(to_camel(name) for name in for_pods))
        yield f"  one process, not pods: of spec.pod, {names} wait for a cluster"
    watched = [name for name in options.files if name != STANDARD_INPUT]
    if options.reload and watched:
        yield f"watching {', '.join(watched)}"
    yield "Ctrl-C ends it"
