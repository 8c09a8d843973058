"""What the files refer to and do not hold, told with the way to write it."""

import re
from dataclasses import dataclass

from mizzen_api.contract import RuntimeConfig
from mizzen_api.pod import SecretKeyRef
from mizzen_api.problems import Problem
from mizzen_runtime.cli.findings import Finding, Place, finding
from mizzen_runtime.cli.objects import DEFAULT_NAMESPACE, AgentFile, DataObject, Objects

_OBJECT = re.compile(r"(ConfigMap|Secret) '([^']*)'(?:, key '([^']*)')?")
"""How the runtime names an object, or one of its keys, as the field of a problem."""
_REFERENCE = ".secretKeyRef"
_MAX_KEYS = 8
"""Of an object, to be named where another one is missing."""


def missing_key(objects: Objects, place: Place, field: str, namespace: str, reference: SecretKeyRef) -> Finding:
    """Tell that a Secret or its key is not there."""
    return _missing(objects, _Wanted("Secret", namespace, reference.name, reference.key), place, field)


def located(problem: Problem, file: AgentFile, config: RuntimeConfig, objects: Objects) -> Finding:
    """Find where the files have what a problem of the runtime speaks of.

    Args:
        problem: What the runtime says.
        file: The agent.
        config: What was rendered of it.
        objects: What the files hold.
    """
    namespace = file.agent.metadata.namespace
    if problem.field.endswith(_REFERENCE):
        reference = SecretKeyRef.model_validate(file.document.value_at(problem.field))
        found = objects.find("Secret", namespace, reference.name)
        if found is None or reference.key not in found.values:
            return missing_key(objects, file.document.place_of(problem.field), problem.field, namespace, reference)
        return Finding(
            "error", found.place_of(reference.key), problem.model_copy(update={"remedy": "correct the value"})
        )
    if named := _OBJECT.fullmatch(problem.field):
        kind, name, key = named.groups()
        found = objects.find(kind, namespace, name)
        if found is not None and (key is None or key in found.values):
            return Finding("error", found.place_of(key), problem)
        field = _reference_to(config, kind, name)
        return _missing(objects, _Wanted(kind, namespace, name, key), file.document.place_of(field), field)
    return Finding("error", file.document.place_of(_field_of(problem, config)), problem)


def _reference_to(config: RuntimeConfig, kind: str, name: str) -> str:
    """Give the field in which a service refers to an object."""
    for index, service in enumerate(config.services or ()):
        if any((source.kind, source.name) == (kind, name) for source in service.sources):
            return f"spec.services[{index}].{'configMapRef' if kind == 'ConfigMap' else 'secretRef'}"
    return "spec.services"


def _field_of(problem: Problem, config: RuntimeConfig) -> str:
    """Give the field of the resource that a problem is about; one of the container names services along a path."""
    if " -> " not in problem.field:
        return problem.field
    steps = [step.partition(" (")[0] for step in problem.field.split(" -> ")]  # `name (class)`
    services = {service.name: index for index, service in enumerate(config.services or ())}
    return next((f"spec.services[{services[step]}]" for step in steps if step in services), "spec.services")


@dataclass(frozen=True)
class _Wanted:
    """What is referred to."""

    kind: str
    namespace: str
    name: str
    key: str | None


def _missing(objects: Objects, wanted: _Wanted, place: Place, field: str) -> Finding:
    """Tell what is missing: of an object that is in the files an error, of any other one a warning."""
    kind, name, key = wanted.kind, wanted.name, wanted.key
    found = objects.find(kind, wanted.namespace, name)
    if found is not None and key is not None:
        message = f"{kind} {name!r} at {found.document.place} has no key {key!r}"
        return finding("error", place, field, message, f"add the key {key!r} to it{_keys_of(found)}")
    message = f"{kind} {name!r} is not in the files"
    if (other := objects.elsewhere(kind, name)) is not None:
        message += f" for namespace {wanted.namespace!r}; the one at {other.document.place} is of {other.namespace!r}"
    return finding("warning", place, field, message, f"add it to them: {_example(wanted)}")


def _example(wanted: _Wanted) -> str:
    """Write an object as a line of YAML."""
    namespace = "" if wanted.namespace == DEFAULT_NAMESPACE else f", namespace: {wanted.namespace}"
    data = "data" if wanted.kind == "ConfigMap" else "stringData"
    return (
        f"{{apiVersion: v1, kind: {wanted.kind}, metadata: {{name: {wanted.name}{namespace}}}, "
        f"{data}: {{{wanted.key or '<field>'}: <value>}}}}"
    )


def _keys_of(found: DataObject) -> str:
    keys = ", ".join(repr(key) for key in sorted(found.values)[:_MAX_KEYS])
    return f"; it has {keys}" if keys else ""
