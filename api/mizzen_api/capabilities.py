"""Which of pydantic-ai's capabilities a spec may name. A test checks that each installed one is decided here."""

import re
from collections.abc import Iterator, Mapping
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

PYTHON_TOOLS = "PythonTools"
"""Mizzen's own capability: `{PythonTools: {tools: ["package.module:function"]}}`."""
_IMPORT_PATH = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*", re.ASCII)

REFUSED_CAPABILITIES = {
    "BatchModelRequests": "a provider's batch API answers after hours, a caller waits seconds",
    "FileUnderstanding": "it names a model outside spec.models",
    "LocalWorkspace": "it gives the model a shell and the files of the pod",
    "ModelFallback": "the chain belongs in spec.models",
}
"""Refused by name, with the reason."""

_REFERENCE = "secret"
"""`{secret: NAME}` in an argument's place stands for the value of that name in `spec.secrets`."""
_CREDENTIAL = re.compile(
    r"(.*[-_])?(authorization|cookie|credentials?|passw(or)?d|secret|token|(api|access|private)[-_]?key)", re.IGNORECASE
)
"""Names of arguments and headers that hold what only a Secret may hold."""
_USERINFO = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#\s]*@.*", re.IGNORECASE | re.DOTALL)
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
    if name == PYTHON_TOOLS:
        return _python_tools_problem(arguments)
    if name not in ALLOWED_CAPABILITIES:
        return f"unknown capability {name!r}; known are {', '.join(sorted({*ALLOWED_CAPABILITIES, PYTHON_TOOLS}))}"
    return _argument_problem(name, arguments)


def argument_of(entry: Any, name: str, argument: str) -> Any:
    """Give an argument of a capability, if an entry of `agent.capabilities` is that one and has it; else None."""
    if not isinstance(entry, dict):
        return None
    arguments = (
        entry["arguments"] if entry.keys() == {"name", "arguments"} and entry["name"] == name else entry.get(name)
    )
    return arguments.get(argument) if isinstance(arguments, dict) else None


def _python_tools_problem(arguments: object) -> str | None:
    tools = arguments.get("tools") if isinstance(arguments, dict) and arguments.keys() == {"tools"} else None
    if (
        isinstance(tools, list)
        and tools
        and all(isinstance(tool, str) and _IMPORT_PATH.fullmatch(tool) for tool in tools)
    ):
        return None
    return f"capability {PYTHON_TOOLS!r} takes `tools`: a list of functions, each as package.module:name"


def _argument_problem(name: str, arguments: object) -> str | None:
    if isinstance(arguments, dict):
        models = sorted(argument for argument in arguments if _NAMES_A_MODEL.fullmatch(argument))
        if models:
            return f"capability {name!r} must not name another model ({', '.join(models)}): the chain is in spec.models"
    if literals := sorted(_literal_credentials(arguments)):
        return (
            f"capability {name!r} must not hold a credential as it is ({', '.join(literals)}): put it into a Secret, "
            f"give that a name in spec.secrets, and write {{{_REFERENCE}: NAME}} in its place"
        )
    return _nested_problem(name, arguments) if name in _WRAPPERS else None


def _nested_problem(wrapper: str, arguments: object) -> str | None:
    """Look through a capability that wraps another, so that a refused one cannot hide in it."""
    argument = _WRAPPERS[wrapper]
    nested = arguments.get(argument) if isinstance(arguments, dict) else None
    if not isinstance(nested, str | dict):
        return f"capability {wrapper!r} needs `{argument}`: the capability that it wraps"
    return capability_problem(nested)


def _literal_credentials(arguments: object, name: str = "") -> Iterator[str]:
    """Give the places that hold a credential, by what their name says or by user and password in an address."""
    if secret_name(arguments) is not None:
        return
    if isinstance(arguments, dict):
        for key, value in arguments.items():
            yield from _literal_credentials(value, str(key))
    elif isinstance(arguments, list):
        for item in arguments:
            yield from _literal_credentials(item, name)
    elif isinstance(arguments, str) and (_CREDENTIAL.fullmatch(name) or _USERINFO.fullmatch(arguments)):
        yield name or "an address with user and password"


def secret_name(argument: object) -> str | None:
    """Give the name that `{secret: NAME}` refers to; None for anything else."""
    if isinstance(argument, dict) and argument.keys() == {_REFERENCE} and isinstance(argument[_REFERENCE], str):
        return str(argument[_REFERENCE])
    return None


def secrets_named_in(arguments: object) -> Iterator[str]:
    """Give the names that are referred to anywhere in a capability's arguments, or in a list of capabilities."""
    if (name := secret_name(arguments)) is not None:
        yield name
    elif isinstance(arguments, dict):
        for value in arguments.values():
            yield from secrets_named_in(value)
    elif isinstance(arguments, list | tuple):
        for item in arguments:
            yield from secrets_named_in(item)


def with_secrets(arguments: Any, values: Mapping[str, str]) -> Any:
    """Give arguments with the values that they refer to; a name without a value stays as it is."""
    if (name := secret_name(arguments)) is not None:
        return values.get(name, arguments)
    if isinstance(arguments, dict):
        return {key: with_secrets(value, values) for key, value in arguments.items()}
    if isinstance(arguments, list):
        return [with_secrets(item, values) for item in arguments]
    return arguments
