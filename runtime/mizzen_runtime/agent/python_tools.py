"""The capability `PythonTools`: functions of own code as tools of an agent that is written as YAML.

A parameter whose type is the interface of a service is filled with that service and kept from the model.
"""

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pydantic_ai import RunContext, Tool
from pydantic_ai.exceptions import UserError
from typing_extensions import is_protocol

from mizzen_api.capabilities import PYTHON_TOOLS, argument_of
from mizzen_api.problems import Problem
from mizzen_runtime.config import SPEC_FIELD, ConfigRefused
from mizzen_runtime.container import AgentServices
from mizzen_runtime.container.needs import Need, needs_of
from mizzen_runtime.own_code.imports import OwnCode, OwnCodeLoader
from mizzen_runtime.services.annotations import evaluated

_EXPECTED = "name a function whose parameters and result can be written as JSON"
ServiceKey = tuple[object, str]
"""Interface and name of a service."""
_CONTEXT = "mizzen_run_context"


def load_tools(
    capabilities: Sequence[Any], loader: OwnCodeLoader, services: Iterable[ServiceKey]
) -> tuple[list[Tool[Any]], tuple[Problem, ...]]:
    """Load the functions that `PythonTools` names.

    Args:
        capabilities: `agent.capabilities`, in which they may stand.
        loader: Loads own code.
        services: Those that there are.
    """
    tools: list[Tool[Any]] = []
    problems: list[Problem] = []
    known = tuple(services)
    for place, entry in enumerate(capabilities):
        for index, path in enumerate(argument_of(entry, PYTHON_TOOLS, "tools") or ()):
            code = loader.named(path, f"{SPEC_FIELD}.capabilities[{place}].{PYTHON_TOOLS}.tools[{index}]", _EXPECTED)
            try:
                tools.append(_tool(code, known))
            except ConfigRefused as refused:
                problems.extend(refused.problems)
    return tools, tuple(problems)


def _tool(code: OwnCode, services: Sequence[ServiceKey]) -> Tool[Any]:
    function = code.load()
    if not inspect.isroutine(function):
        raise code.refused(f"{code.path} is of type {type(function).__name__}, which is no function")
    wanted = [need for need in needs_of(function, (), {}).parameters if _wants_service(need, services)]
    for need in wanted:
        if (fault := _unmet(need, services)) is not None:
            raise code.refused(f"{code.path} wants {fault}", "add it to spec.services, or correct the tool")
    try:
        return Tool(_injected(function, wanted) if wanted else function)
    except UserError as error:
        raise code.refused(f"{code.path} cannot be a tool: {error.message}") from error
    except Exception as error:
        raise code.failed(error) from error


def _wants_service(need: Need, services: Iterable[ServiceKey]) -> bool:
    """Tell whether a parameter is for a service: no model can give what is a Protocol, or what one implements."""
    if not inspect.isclass(need.interface):
        return False
    return is_protocol(need.interface) or any(interface is need.interface for interface, _ in services)


def _unmet(need: Need, services: Iterable[ServiceKey]) -> str | None:
    """Say what is wrong with what a parameter wants; None if there is just one such service."""
    wanted = f"a {need.type_text} as {need.parameter!r}"
    names = [name for interface, name in services if interface is need.interface]
    if not names:
        return f"{wanted}, and the agent has no such service"
    if need.name is not None and need.name not in names:
        return f"{wanted} that is called {need.name!r}, and there is only {', '.join(map(repr, names))}"
    if need.name is None and len(names) > 1:
        return f"{wanted}, and several are one: say which by Named(…), of {', '.join(map(repr, names))}"
    return None


def _injected(function: Callable[..., Any], needs: Sequence[Need]) -> Callable[..., Any]:
    """Give the function as the model is to see it: without what is filled with services."""
    signature = inspect.signature(function)
    filled = {need.parameter for need in needs}
    wants_context = next((each for each in signature.parameters.values() if _is_context(each, function)), None)
    left = [each for each in signature.parameters.values() if each.name not in filled and each is not wants_context]

    def arguments_of(context: RunContext[AgentServices], given: Mapping[str, Any]) -> dict[str, Any]:
        arguments = dict(given)
        if wants_context is not None:
            arguments[wants_context.name] = context
        return arguments | {need.parameter: context.deps.get(need.interface, need.name) for need in needs}

    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def call(mizzen_run_context: RunContext[AgentServices], **given: Any) -> Any:
            return await function(**arguments_of(mizzen_run_context, given))

    else:

        @functools.wraps(function)
        def call(mizzen_run_context: RunContext[AgentServices], **given: Any) -> Any:
            return function(**arguments_of(mizzen_run_context, given))

    context = inspect.Parameter(_CONTEXT, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=RunContext[AgentServices])
    kept = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in left]
    annotations = {each.name: each.annotation for each in left if each.annotation is not inspect.Parameter.empty}
    call.__signature__ = signature.replace(parameters=[context, *kept])  # type: ignore[attr-defined]
    call.__annotations__ = {_CONTEXT: RunContext[AgentServices], **annotations}
    return call


def _is_context(parameter: inspect.Parameter, function: Callable[..., Any]) -> bool:
    annotation = evaluated(parameter.annotation, function)
    return getattr(annotation, "__origin__", annotation) is RunContext
