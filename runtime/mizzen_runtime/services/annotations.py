"""Annotations of own code: read one by one, so that one that cannot be read spoils no other, and compared."""

import contextlib
import inspect
import types
import typing
from collections.abc import Callable, Mapping, MutableMapping
from functools import partial
from inspect import Parameter
from typing import Annotated, Any, Literal, NewType, Union

import typing_extensions


def evaluated(annotation: Any, function: Callable[..., Any]) -> Any:
    """Give what an annotation of `function` stands for where it is written as text.

    Returns:
        The annotation; as it is, a text or with a text inside, where a name in it is not known at run time.
    """

    def holder() -> None: ...

    holder.__annotations__ = {"it": annotation}
    with contextlib.suppress(Exception):  # own code's text can fail in any way, and then says nothing
        return typing.get_type_hints(holder, globalns=_names_around(function), include_extras=True)["it"]
    return annotation


def _names_around(function: Callable[..., Any]) -> dict[str, Any]:
    while isinstance(function, partial):
        function = function.func
    if isinstance(function, type):
        function = function.__init__  # type: ignore[misc] # only read
    elif not inspect.isroutine(function):
        function = type(function).__call__
    function = inspect.unwrap(getattr(function, "__func__", function))
    names: dict[str, Any] = getattr(function, "__globals__", {})
    return names


def annotation_text(annotation: Any) -> str:
    """Give an annotation as its author would have written it: without modules."""
    if isinstance(annotation, str):
        return annotation
    if annotation is type(None):
        return "None"
    if isinstance(annotation, type) and not typing.get_args(annotation):
        return annotation.__qualname__
    text = str(annotation)
    for word in sorted(set(_dotted_words(text)), key=len, reverse=True):
        text = text.replace(word, word.rpartition(".")[2])
    return text


def _dotted_words(text: str) -> list[str]:
    separated = "".join(
        letter if letter.isidentifier() or letter.isdigit() or letter == "." else " " for letter in text
    )
    return [word for word in separated.split() if "." in word.strip(".")]


def without_none(annotation: Any) -> tuple[Any, bool]:
    """Split `T | None` into T and whether None was there."""
    if not is_union(annotation):
        return annotation, False
    members = [member for member in typing.get_args(annotation) if member is not type(None)]
    if len(members) == len(typing.get_args(annotation)):
        return annotation, False
    return Union[tuple(members)], True  # noqa: UP007 - of members that are not known before


def is_union(annotation: Any) -> bool:
    """Tell whether an annotation is `A | B`, in either notation."""
    return typing.get_origin(annotation) in (Union, types.UnionType)


def fits(given: Any, wanted: Any) -> bool:
    """Tell whether a value of one type is one of another; True where that is not certain."""
    given, wanted = _plain(given), _plain(wanted)
    if given == wanted or Any in (given, wanted) or wanted is object or _is_open(given) or _is_open(wanted):
        return True
    if is_union(given):
        return all(fits(member, wanted) for member in typing.get_args(given))
    if is_union(wanted):
        return any(fits(given, member) for member in typing.get_args(wanted))
    if typing.get_origin(given) is Literal:
        if typing.get_origin(wanted) is Literal:
            return set(typing.get_args(given)) <= set(typing.get_args(wanted))
        return all(fits(type(value), wanted) for value in typing.get_args(given))
    return _class_fits(given, wanted)


def _plain(annotation: Any) -> Any:
    """Give an annotation without what makes no difference here."""
    while typing.get_origin(annotation) is Annotated or isinstance(annotation, NewType):
        annotation = annotation.__supertype__ if isinstance(annotation, NewType) else typing.get_args(annotation)[0]
    return type(None) if annotation is None else annotation


def _is_open(annotation: Any) -> bool:
    """Tell whether an annotation says nothing certain: missing, unreadable, a type variable, `Never`, `Self`."""
    if annotation is Parameter.empty:
        return True
    known = isinstance(annotation, type) or typing.get_origin(annotation) is not None
    return not known


_PROMOTED: dict[Any, tuple[type, ...]] = {float: (int,), complex: (int, float)}
"""What passes for a number without being its subclass."""


def _class_fits(given: Any, wanted: Any) -> bool:
    given_class, wanted_class = typing.get_origin(given) or given, typing.get_origin(wanted) or wanted
    if not isinstance(given_class, type) or not isinstance(wanted_class, type):
        return True
    if given_class in _PROMOTED.get(wanted_class, ()):
        return True
    if typing_extensions.is_typeddict(given_class) and wanted_class in (dict, Mapping, MutableMapping):
        return True
    with contextlib.suppress(TypeError):  # a Protocol that is not made for it
        if not issubclass(given_class, wanted_class):
            return False
    given_arguments, wanted_arguments = typing.get_args(given), typing.get_args(wanted)
    if given_class is wanted_class and len(given_arguments) == len(wanted_arguments):
        return all(fits(*pair) for pair in zip(given_arguments, wanted_arguments, strict=True))
    return True
