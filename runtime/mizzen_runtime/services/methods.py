"""A method as its callers see it: without `self`, and with what calling it gives."""

import inspect
import typing
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from enum import Enum
from functools import cached_property
from inspect import Parameter, Signature
from typing import Any

import typing_extensions

from mizzen_runtime.services.annotations import annotation_text, evaluated


class Way(Enum):
    """What a call gives, in the words of a message."""

    VALUE = "not async"
    COROUTINE = "async"
    ITERATION = "an async generator"


class Method:
    """One method of a class."""

    def __init__(self, name: str, owner: type, function: Callable[..., Any], *, bound: bool) -> None:
        """Describe a method.

        Args:
            name: What it is called.
            owner: The class in whose body it is defined.
            function: What is called.
            bound: Whether it has no `self` to begin with.
        """
        self.name = name
        self._owner = owner
        self._function = function
        self._bound = bound

    @classmethod
    def of(cls, owner: type, name: str) -> "Method | None":
        """Give a method of a class; None if it has none of this name."""
        for base in owner.__mro__:
            if name in vars(base):
                found = vars(base)[name]
                if isinstance(found, staticmethod | classmethod):
                    return cls(name, base, found.__func__, bound=isinstance(found, staticmethod))
                return cls(name, base, found, bound=not inspect.isroutine(found)) if callable(found) else None
        return None

    @property
    def is_only_declared(self) -> bool:
        """Whether it does nothing: it is abstract, or stands in a Protocol with an empty body."""
        if getattr(self._function, "__isabstractmethod__", False):
            return True
        code = getattr(self._function, "__code__", None)
        return typing_extensions.is_protocol(self._owner) and code is not None and code.co_code in _EMPTY_BODIES

    @cached_property
    def way(self) -> Way:
        """What calling it gives."""
        for function in (self._function, inspect.unwrap(self._function)):
            if inspect.iscoroutinefunction(function):
                return Way.COROUTINE
            if inspect.isasyncgenfunction(function):
                return Way.ITERATION
        return Way.COROUTINE if self._gives(Awaitable, Coroutine) else Way.VALUE

    @property
    def may_iterate(self) -> bool:
        """Whether its result may be made for `async for`, as far as it says."""
        return self._returns is Parameter.empty or self._gives(AsyncIterator, AsyncIterable, AsyncGenerator)

    def _gives(self, *origins: type) -> bool:
        return (typing.get_origin(self._returns) or self._returns) in origins

    @cached_property
    def signature(self) -> Signature | None:
        """Its signature; None if it has none that can be read."""
        try:
            signature = inspect.signature(self._function)
        except (TypeError, ValueError):  # written in C
            return None
        parameters = list(signature.parameters.values())
        if not self._bound and parameters and parameters[0].kind is not Parameter.VAR_POSITIONAL:
            del parameters[0]
        return signature.replace(parameters=parameters)

    @cached_property
    def _returns(self) -> Any:
        if self.signature is None:
            return Parameter.empty
        return evaluated(self.signature.return_annotation, self._function)

    @property
    def result(self) -> Any:
        """The type of what a caller has in the end; `Parameter.empty` if nothing is said of it."""
        if self._gives(Awaitable, Coroutine):
            return (typing.get_args(self._returns) or (Parameter.empty,))[-1]
        return self._returns

    @property
    def head(self) -> str:
        """Its head, as one would write it: `async def get(self, key: str) -> str`."""
        signature = self.signature or Signature()
        parameters = [each.replace(annotation=_shown(each.annotation)) for each in signature.parameters.values()]
        positional_only = bool(parameters) and parameters[0].kind is Parameter.POSITIONAL_ONLY
        itself = Parameter("self", Parameter.POSITIONAL_ONLY if positional_only else Parameter.POSITIONAL_OR_KEYWORD)
        whole = Signature([itself, *parameters], return_annotation=_shown(signature.return_annotation))
        return f"{'async ' if self.way is Way.COROUTINE else ''}def {self.name}{whole}"


class _Text:
    """An annotation that a signature shows as it is."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def _shown(annotation: Any) -> Any:
    return annotation if annotation is Parameter.empty else _Text(annotation_text(annotation))


def call_differences(wanted: Signature, given: Signature) -> Iterator[str]:
    """Tell which calls that fit one signature do not fit another, in words that follow the name of a method."""
    yield from _Comparison(wanted, given).differences()


_BY_POSITION = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


class _Comparison:
    """Of the calls that one signature allows with those that another takes."""

    def __init__(self, wanted: Signature, given: Signature) -> None:
        self._wanted = list(wanted.parameters.values())
        self._given = {each.name: each for each in given.parameters.values()}
        kinds = {each.kind for each in self._given.values()}
        self._takes_any_position = Parameter.VAR_POSITIONAL in kinds
        self._takes_any_keyword = Parameter.VAR_KEYWORD in kinds
        self._positions = [each for each in self._given.values() if each.kind in _BY_POSITION]
        self._served: set[str] = set()

    def differences(self) -> Iterator[str]:
        for index, each in enumerate(self._wanted):
            if each.kind is Parameter.VAR_POSITIONAL:
                yield from [] if self._takes_any_position else [f"takes no further arguments (*{each.name})"]
            elif each.kind is Parameter.VAR_KEYWORD:
                yield from [] if self._takes_any_keyword else [f"takes no further keywords (**{each.name})"]
            elif each.kind is Parameter.KEYWORD_ONLY:
                yield from self._by_keyword(each)
            else:
                yield from self._by_position(index, each)
        for name, given in self._given.items():
            needed = given.default is Parameter.empty and given.kind in (*_BY_POSITION, Parameter.KEYWORD_ONLY)
            if needed and name not in self._served:
                yield f"needs {name!r}, which callers do not pass"

    def _by_position(self, index: int, wanted: Parameter) -> Iterator[str]:
        given = self._positions[index] if index < len(self._positions) else None
        by_keyword = wanted.kind is Parameter.POSITIONAL_OR_KEYWORD
        if given is None:
            same = self._given.get(wanted.name)
            if same is not None and same.kind is Parameter.KEYWORD_ONLY and not self._takes_any_position:
                self._served.add(same.name)
                yield f"takes {wanted.name!r} by keyword only"
            elif not self._takes_any_position:
                yield f"does not take {wanted.name!r}"
            elif by_keyword and same is None and not self._takes_any_keyword:
                yield f"does not take {wanted.name!r} by keyword"
            return
        self._served.add(given.name)
        if by_keyword and given.name != wanted.name:
            yield f"has {given.name!r} in the place of {wanted.name!r}, so that nobody can pass it by keyword"
        elif by_keyword and given.kind is Parameter.POSITIONAL_ONLY:
            yield f"takes {wanted.name!r} by position only"
        yield from self._optional(wanted, given)

    def _by_keyword(self, wanted: Parameter) -> Iterator[str]:
        given = self._given.get(wanted.name)
        if given is not None and given.kind in (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY):
            self._served.add(given.name)
            yield from self._optional(wanted, given)
        elif not self._takes_any_keyword:
            yield f"does not take {wanted.name!r} by keyword"

    def _optional(self, wanted: Parameter, given: Parameter) -> Iterator[str]:
        if wanted.default is not Parameter.empty and given.default is Parameter.empty:
            yield f"needs {wanted.name!r}, which callers may leave out"


def _documented() -> None:
    """A body that is only a docstring."""


def _bare() -> None: ...


async def _async_documented() -> None:
    """A body that is only a docstring."""


async def _async_bare() -> None: ...


_EMPTY_BODIES = frozenset(each.__code__.co_code for each in (_documented, _bare, _async_documented, _async_bare))
"""What Python makes of a body in which nothing stands: such a method in a Protocol is no default, but missing."""
