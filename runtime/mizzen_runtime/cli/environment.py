"""The environment variables of `spec.pod.env`, with what a laptop has in the place of a pod."""

import re
import socket
from collections.abc import Mapping

from mizzen_api.agentdeployment import AgentDeployment
from mizzen_api.pod import SecretKeyRef
from mizzen_runtime.cli.findings import Finding, finding
from mizzen_runtime.cli.objects import AgentFile, Objects
from mizzen_runtime.cli.references import missing_key

PLACEHOLDER = "not-in-the-files"
"""Value of a variable whose Secret is not in the files, or whose own value no process can have, so that own code can be
imported and checked all the same."""
_LOOPBACK = "127.0.0.1"
_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)")


def variables_of(file: AgentFile, objects: Objects) -> tuple[dict[str, str], list[Finding]]:
    """Give the variables of an agent's pod, and tell which cannot be had here."""
    variables: dict[str, str] = {}
    findings: list[Finding] = []
    for index, variable in enumerate(file.agent.spec.pod.env):
        field = f"spec.pod.env[{index}]"
        if variable.value is not None:
            variables[variable.name] = _expanded(variable.value, variables)
        source = variable.value_from
        if source is not None and source.secret_key_ref is not None:
            variables[variable.name] = _from_secret(file, objects, source.secret_key_ref, field, findings)
        elif source is not None and source.field_ref is not None:
            variables[variable.name] = _from_field(file, source.field_ref.field_path, field, findings)
        if "\0" in variables[variable.name]:
            message, remedy = "the value has a NUL character, which no variable can have", "take another value"
            findings.append(finding("error", file.document.place_of(field), field, message, remedy))
            variables[variable.name] = PLACEHOLDER
    return variables, findings


def _expanded(value: str, before: Mapping[str, str]) -> str:
    """Fill in `$(NAME)` from the variables before, as Kubernetes does; what is not there stays as it is written."""

    def filled(match: re.Match[str]) -> str:
        return "$" if match[1] is None else before.get(match[1], match[0])

    return _REFERENCE.sub(filled, value)


def _from_secret(
    file: AgentFile, objects: Objects, reference: SecretKeyRef, field: str, findings: list[Finding]
) -> str:
    namespace = file.agent.metadata.namespace
    found = objects.find("Secret", namespace, reference.name)
    if found is None or reference.key not in found.values:
        place = file.document.place_of(f"{field}.valueFrom.secretKeyRef")
        findings.append(missing_key(objects, place, f"{field}.valueFrom.secretKeyRef", namespace, reference))
        return PLACEHOLDER
    return found.values[reference.key].decode(errors="surrogateescape")


def _from_field(file: AgentFile, path: str, field: str, findings: list[Finding]) -> str:
    value = _fields_of(file.agent).get(path)
    if value is None:
        full = f"{field}.valueFrom.fieldRef.fieldPath"
        message = f"{path} is a field that only a pod has"
        remedy = "give the variable another value for use on a laptop, or remove it"
        findings.append(finding("error", file.document.place_of(full), full, message, remedy))
        return ""
    return value


def _fields_of(agent: AgentDeployment) -> dict[str, str]:
    """Give the fields of a pod that have a sensible value here, by path."""
    pod = agent.spec.pod
    labels = {f"metadata.labels['{key}']": value for key, value in pod.labels.items()}
    annotations = {f"metadata.annotations['{key}']": value for key, value in pod.annotations.items()}
    return {
        "metadata.name": agent.metadata.name,
        "metadata.namespace": agent.metadata.namespace,
        "metadata.uid": "00000000-0000-0000-0000-000000000000",
        "spec.nodeName": socket.gethostname(),
        "spec.serviceAccountName": pod.service_account_name or agent.metadata.name,
        "status.hostIP": _LOOPBACK,
        "status.hostIPs": _LOOPBACK,
        "status.podIP": _LOOPBACK,
        "status.podIPs": _LOOPBACK,
        **labels,
        **annotations,
    }
