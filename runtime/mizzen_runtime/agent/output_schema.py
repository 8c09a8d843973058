"""Makes `output_schema` a promise. pydantic-ai shows it to the model, but takes whatever object comes back."""

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
_REFERENCES = ("$ref", "$dynamicRef")


def compile_schema(schema: Mapping[str, Any]) -> "tuple[Validator | None, tuple[Problem, ...]]":
    """Compile a JSON schema for checking answers.

    The dialect is what `$schema` names, Draft 2020-12 without it. `format` says something without being checked, as
    that draft has it.

    Returns:
        What checks answers, and no problems; or None and all that is wrong with the schema.
    """
    # Imported here because most agents answer text, and the import costs 5 MB.
    from jsonschema import Draft202012Validator, validators  # noqa: PLC0415

    dialect = schema.get("$schema")
    if dialect is not None and not (isinstance(dialect, str) and dialect.rstrip("#") in _known_dialects()):
        return None, (_problem("$schema", f"unknown dialect {dialect!r}", "leave it out, or name a JSON schema draft"),)
    validator_type = validators.validator_for(schema, default=Draft202012Validator)
    problems = [
        _problem(
            path_of(error.absolute_path),
            f"is no valid JSON schema: {error.message[:300]}",
            "write it as JSON Schema Draft 2020-12 describes",
        )
        for error in validator_type(validator_type.META_SCHEMA).iter_errors(schema)
    ]
    problems += [
        _problem(
            path_of(location),
            f"refers to {target!r}, and nothing is fetched from elsewhere",
            "put the definition under `$defs` and refer to it as `#/$defs/…`",
        )
        for location, target in _references(schema)
        if not target.startswith("#")
    ]
    if schema.get("type") != "object" and not any(problem.field == f"{FIELD}.type" for problem in problems):
        problems.append(
            _problem("type", "the answer must be an object", "write `type: object` and wrap the value in a property")
        )
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


def _references(node: object, location: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key in _REFERENCES and isinstance(value, str):
                yield (*location, key), value
            else:
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
        faults = [f"{error.json_path}: {error.message}" for error in self.validator.iter_errors(output)]
        if faults:
            raise ModelRetry("The answer violates the output schema. " + "; ".join(faults[:_MAX_FAULTS_TOLD]))
        return output
