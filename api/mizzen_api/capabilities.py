"""Which of pydantic-ai's capabilities a spec may name. A test checks that each installed one is decided here."""

import re
from typing import Any

ALLOWED_CAPABILITIES = frozenset(
    {
        "Caching",
        "Citations",
        "ImageGeneration",
        "IncludeToolReturnSchemas",
        "Instrumentation",
        "MCP",
        "NativeTool",
        "PrefixTools",
        "RaiseContentFilterError",
        "ReinjectSystemPrompt",
        "SetToolMetadata",
        "Thinking",
        "ToolSearch",
        "WebFetch",
        "WebSearch",
        "XSearch",
    }
)

REFUSED_CAPABILITIES = {
    "BatchModelRequests": "a provider's batch API answers after hours, a caller waits seconds",
    "FileUnderstanding": "it names a model outside spec.models",
    "LocalWorkspace": "it gives the model a shell and the files of the pod",
    "ModelFallback": "the chain belongs in spec.models",
}
"""Refused by name, with the reason."""

_NAMES_A_MODEL = re.compile("fallback.*model")
_WRAPPERS = {"PrefixTools": "capability"}
"""Capabilities that hold another one, and the argument that holds it."""


def capability_problem(entry: str | dict[str, Any]) -> str | None:
    """Say what is wrong with one entry of `agent.capabilities`, or None.

    Args:
        entry: `Name`, `{Name: arguments}`, or the long form `{name: Name, arguments: …}`.
    """
    if isinstance(entry, dict) and set(entry) == {"name", "arguments"} and isinstance(entry["name"], str):
        name, arguments = entry["name"], entry["arguments"]
        if not isinstance(arguments, dict | list | None):
            return f"the arguments of capability {name!r} must be an object or a list"
    elif isinstance(entry, dict):
        if len(entry) != 1:
            return f"a capability is a name or one `name: arguments` pair, this has the keys {sorted(entry)}"
        name, arguments = next(iter(entry.items()))
    else:
        name, arguments = entry, None
    if name in REFUSED_CAPABILITIES:
        return f"capability {name!r} is not allowed: {REFUSED_CAPABILITIES[name]}"
    if name not in ALLOWED_CAPABILITIES:
        return f"unknown capability {name!r}; known are {', '.join(sorted(ALLOWED_CAPABILITIES))}"
    return _argument_problem(name, arguments)


def _argument_problem(name: str, arguments: object) -> str | None:
    if isinstance(arguments, dict):
        models = sorted(argument for argument in arguments if _NAMES_A_MODEL.fullmatch(argument))
        if models:
            return f"capability {name!r} must not name another model ({', '.join(models)}): the chain is in spec.models"
    return _nested_problem(name, arguments) if name in _WRAPPERS else None


def _nested_problem(wrapper: str, arguments: object) -> str | None:
    """Look through a capability that wraps another, so that a refused one cannot hide in it."""
    argument = _WRAPPERS[wrapper]
    nested = arguments.get(argument) if isinstance(arguments, dict) else None
    if not isinstance(nested, str | dict):
        return f"capability {wrapper!r} needs `{argument}`: the capability that it wraps"
    return capability_problem(nested)
