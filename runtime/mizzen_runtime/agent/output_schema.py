"""Makes `output_schema` a promise. pydantic-ai shows it to the model, but takes whatever object comes back."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic_ai import ModelRetry, RunContext
from pydantic_ai.capabilities import AbstractCapability, OutputContext

from mizzen_api.problems import Problem, path_of

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

FIELD = "spec.agent.output_schema"
_MAX_FAULTS_TOLD = 10
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_HOLD_VALUES = ("const", "default", "enum", "examples")
"""Keywords that hold values rather than schemas."""
_HOLD_NAMES = (("properties",), ("patternProperties",), ("$defs",))
"""Keywords that hold schemas by names, which may look like keywords."""
_DEFINITIONS = "#/$defs/"
_Location = tuple[str | int, ...]


def compile_schema(schema: Mapping[str, Any]) -> "tuple[Validator | None, tuple[Problem, ...]]":
    """Compile a JSON schema for checking answers.

    The dialect is what `$schema` names, Draft 2020-12 without it. `format` says something without being checked, as
    that draft has it. Of references, pydantic-ai takes `#/$defs/<name>` alone, and no recursive ones.

    Returns:
        What checks answers, and no problems; or None and all that is wrong with the schema.
    """
    # Imported here because most agents answer text, and the import costs 5 MB.
    from jsonschema import Draft202012Validator, validators  # noqa: PLC0415

    dialect = schema.get("$schema")
    if dialect is not None and not (isinstance(dialect, str) and dialect.rstrip("#") in _known_dialects()):
        return None, (_problem("$schema", f"unknown dialect {dialect!r}", "leave it out, or name a JSON schema draft"),)
    validator_type = validators.validator_for(schema, default=Draft202012Validator)
    metaschema = validator_type(validator_type.META_SCHEMA, format_checker=validator_type.FORMAT_CHECKER)
    problems = [
        _problem(
            path_of(error.absolute_path),
            f"is no valid JSON schema: {error.message[:300]}",
            "write it as JSON Schema Draft 2020-12 describes",
        )
        for error in metaschema.iter_errors(schema)
    ]
    problems += _reference_problems(schema)
    if schema.get("type") != "object" and not any(problem.field == f"{FIELD}.type" for problem in problems):
        remedy = "write `type: object` and wrap the value in a property"
        if "$ref" in schema:
            remedy = "write the definition that `$ref` names in its place: the outermost schema cannot be a reference"
        problems.append(_problem("type", "the answer must be an object", remedy))
    if problems:
        return None, tuple(problems)
    return validator_type(schema), ()


def _known_dialects() -> set[str]:
    from jsonschema import validators  # noqa: PLC0415 - see compile_schema

    drafts = (
        validators.Draft3Validator,
        validators.Draft4Validator,
        validators.Draft6Validator,
        validators.Draft7Validator,
        validators.Draft201909Validator,
        validators.Draft202012Validator,
    )
    return {str(draft.META_SCHEMA.get("$id") or draft.META_SCHEMA["id"]).rstrip("#") for draft in drafts}


def _reference_problems(schema: Mapping[str, Any]) -> Iterator[Problem]:
    defined = schema.get("$defs")
    definitions: Mapping[str, Any] = defined if isinstance(defined, Mapping) else {}
    for location, target in _references(schema):
        name = _definition_of(target)
        if not target.startswith("#"):
            fault = "nothing is fetched from elsewhere"
        elif location[-1] != "$ref" or name is None:
            fault = "only a `$ref` to a definition is supported"
        elif name not in definitions:
            fault = "there is no such definition"
        else:
            continue
        remedy = f"put the definition under `$defs` and refer to it as `{_DEFINITIONS}…`"
        yield _problem(path_of(location), f"refers to {target!r}, and {fault}", remedy)
    for name in definitions:
        if name in _reachable(name, definitions):
            message = "refers to itself, and pydantic-ai supports no recursive schema"
            yield _problem(path_of(("$defs", name)), message, "write out as many levels as an answer may have")


def _reachable(name: str, definitions: Mapping[str, Any]) -> set[str]:
    """Give the definitions that one refers to, directly or through others; itself only if it is recursive."""
    reached: set[str] = set()
    waiting = [name]
    while waiting:
        for _, target in _references(definitions[waiting.pop()]):
            following = _definition_of(target)
            if following is not None and following in definitions and following not in reached:
                reached.add(following)
                waiting.append(following)
    return reached


def _definition_of(target: str) -> str | None:
    """Give the name in `#/$defs/<name>`; None for any other target."""
    name = target.removeprefix(_DEFINITIONS)
    if name == target or "/" in name:
        return None
    return name.replace("~1", "/").replace("~0", "~")


def _references(node: object, location: _Location = ()) -> Iterator[tuple[_Location, str]]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key in _REFERENCES and isinstance(value, str):
                yield (*location, key), value
            elif key not in _HOLD_VALUES or location[-1:] in _HOLD_NAMES:
                yield from _references(value, (*location, key))
    elif isinstance(node, Sequence) and not isinstance(node, str):
        for index, value in enumerate(node):
            yield from _references(value, (*location, index))


def _problem(location: str, message: str, remedy: str) -> Problem:
    return Problem(field=f"{FIELD}.{location}" if location else FIELD, message=message, remedy=remedy)


@dataclass
class EnforceOutputSchema(AbstractCapability[None]):
    """Sends an answer that violates the schema back to the model, as often as the agent's output retries allow."""

    validator: "Validator"

    async def after_output_validate(self, ctx: RunContext[None], *, output_context: OutputContext, output: Any) -> Any:
        """Let through what fits the schema.

        Raises:
            ModelRetry: It does not; the text tells the model what is wrong with it.
        """
        del output_context
        if ctx.partial_output:
            return output
        faults = [f"{path}: must be a finite number" for path in _not_finite(output)]
        faults += [f"{error.json_path}: {error.message}" for error in self.validator.iter_errors(output)]
        if faults:
            raise ModelRetry("The answer violates the output schema. " + "; ".join(faults[:_MAX_FAULTS_TOLD]))
        return output


def _not_finite(value: object, path: str = "$") -> Iterator[str]:
    """Give the path of each NaN and Infinity: Python reads them from JSON, which has no such numbers."""
    if isinstance(value, dict):
        for key, child in value.items():
            yield from _not_finite(child, f"{path}.{key}")
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _not_finite(child, f"{path}[{index}]")
    elif isinstance(value, float) and not math.isfinite(value):
        yield path
