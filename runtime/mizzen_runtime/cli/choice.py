"""Which of the agents in the files is meant."""

from mizzen_api.names import KIND
from mizzen_runtime.cli.findings import Finding, errors_among, finding
from mizzen_runtime.cli.objects import AgentFile, Objects


def needs_name(objects: Objects, name: str | None) -> bool:
    """Tell whether the command line would have to say which agent is meant, and does not."""
    return name is None and len(objects.agents) > 1


def choose(objects: Objects, name: str | None, findings: list[Finding]) -> AgentFile | None:
    """Give the agent that is meant; None, with the reason among the findings, if there is none.

    Args:
        objects: What the files hold.
        name: What the command line says.
        findings: What is wrong with the files; the reason is added to it.
    """
    wanted = [each for each in objects.agents if name is None or each.agent.metadata.name == name]
    if len(wanted) == 1:
        return wanted[0]
    names = ", ".join(each.full_name for each in objects.agents)
    if needs_name(objects, name):
        field, message = "--name", f"the files have several agents: {names}"
        remedy = "say which one by --name NAME"
    elif wanted:
        field, message = "--name", f"several agents have the name {name!r}: {names}"
        remedy = "leave one of them in the files"
    elif objects.agents:
        field, message, remedy = "--name", f"no agent has the name {name!r}", f"the files have {names}"
    elif errors_among(findings):
        return None  # the agent may be in what could not be read
    else:
        field, message, remedy = "-f", f"there is no {KIND} in the files", "name a file that has one"
    findings.append(finding("error", None, field, message, remedy))
    return None
