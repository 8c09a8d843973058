"""What an implementation needs: the parameters that the arguments of its registration leave open."""

import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import Parameter
from typing import Annotated, Any

from mizzen_runtime.container.registration import Named
from mizzen_runtime.services.annotations import annotation_text, evaluated, without_none

_ANY_NUMBER = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


@dataclass(frozen=True)
class Need:
    """One parameter, or field of a dataclass, that nobody has filled yet."""

    parameter: str
    interface: Any
    """Its type, without `Annotated` and `| None`; a text if that cannot be read at run time."""
    name: str | None
    """Of the service that it asks for by name."""
    may_be_none: bool
    has_default: bool
    by_position_only: bool

    @property
    def type_text(self) -> str:
        """Its type, as one would write it; empty if it has none."""
        return "" if self.interface is Parameter.empty else annotation_text(self.interface)


@dataclass(frozen=True)
class Needs:
    """All that an implementation needs."""

    parameters: tuple[Need, ...] = ()
    fault: str | None = None
    """Why its arguments cannot be passed."""


def needs_of(implementation: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Needs:
    """Tell what a class or function needs beside the arguments that it gets."""
    try:
        signature = inspect.signature(implementation)
    except (TypeError, ValueError):
        return Needs()  # written in C: it gets what it gets
    try:
        bound = signature.bind_partial(*args, **kwargs)
    except TypeError as error:
        return Needs(fault=str(error))
    left = [each for each in signature.parameters.values() if each.name not in bound.arguments]
    return Needs(tuple(_need(each, implementation) for each in left if each.kind not in _ANY_NUMBER))


def _need(parameter: Parameter, implementation: Callable[..., Any]) -> Need:
    annotation = evaluated(parameter.annotation, implementation)
    interface, name = _without_name(annotation)
    interface, may_be_none = without_none(interface)
    interface, inner_name = _without_name(interface)
    return Need(
        parameter=parameter.name,
        interface=interface,
        name=name or inner_name,
        may_be_none=may_be_none,
        has_default=parameter.default is not Parameter.empty,
        by_position_only=parameter.kind is Parameter.POSITIONAL_ONLY,
    )


def _without_name(annotation: Any) -> tuple[Any, str | None]:
    if typing.get_origin(annotation) is not Annotated:
        return annotation, None
    kind, *notes = typing.get_args(annotation)
    names = [note.name for note in notes if isinstance(note, Named)]
    return kind, names[-1] if names else None
