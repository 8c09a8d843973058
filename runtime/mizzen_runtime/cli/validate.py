"""`mizzen validate`: everything that is wrong with the files, in one go."""

import json
from collections.abc import Sequence

from mizzen_api.names import KIND
from mizzen_runtime.cli.arguments import ValidateOptions
from mizzen_runtime.cli.candidate import InterruptedCheckError, candidate_of, check, prepare
from mizzen_runtime.cli.console import Console
from mizzen_runtime.cli.files import Inputs
from mizzen_runtime.cli.findings import Finding, errors_among, finding, sorted_by_place, strict
from mizzen_runtime.cli.mounts import temporary_root
from mizzen_runtime.cli.objects import Objects
from mizzen_runtime.cli.stop import AT_ONCE, Stop, signals_noted


def validate(options: ValidateOptions, console: Console) -> int:
    """Check all files, and every agent in them.

    Returns:
        The exit code: 1 if there are errors.
    """
    objects, findings = Inputs(options.files).read()
    if not objects.agents and not errors_among(findings):
        message, remedy = f"there is no {KIND} in the files", "name a file that has one"
        findings.append(finding("warning", None, "-f", message, remedy))
    stop = Stop()
    try:
        with signals_noted(stop):
            findings += _check_agents(objects, ["--test-services"] if options.test_services else [], stop)
    except InterruptedCheckError:
        return AT_ONCE
    if options.strict:
        findings = strict(findings)
    if options.output == "json":
        entries = [each.entry for each in sorted_by_place(findings)]
        console.say(json.dumps({"valid": not errors_among(findings), "findings": entries}, indent=2))
    else:
        console.tell(findings)
        console.say(_summary(objects, findings))
    return 1 if errors_among(findings) else 0


def _check_agents(objects: Objects, arguments: Sequence[str], stop: Stop) -> list[Finding]:
    findings: list[Finding] = []
    for agent in objects.agents:
        with temporary_root() as root:
            prepared = prepare(candidate_of(agent, objects), objects, root, "agent")
            found, _ = check(prepared, objects, arguments, stop.event)
            findings += found
    return findings


def _summary(objects: Objects, findings: list[Finding]) -> str:
    counts = [
        _counted(sum(each.level == "error" for each in set(findings)), "error"),
        _counted(sum(each.level == "warning" for each in set(findings)), "warning"),
    ]
    names = ", ".join(agent.full_name for agent in objects.agents)
    told = " and ".join(filter(None, counts))
    if errors_among(findings):
        return told
    return f"{KIND} {names}: in order{f', with {told}' if told else ''}" if names else told


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}" if number else ""
