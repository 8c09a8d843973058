"""Whether a class implements an interface: by signature, since `isinstance` compares names of methods only.

A method implements another if whoever calls it as the interface says is served: the same arguments by position and by
keyword, awaited or not, and a result of the type that was promised. What is not certain passes.
"""

import inspect
from collections.abc import Iterator
from typing import Protocol

import typing_extensions

from mizzen_api.problems import Problem
from mizzen_runtime.services.annotations import annotation_text, fits
from mizzen_runtime.services.methods import Method, Way, call_differences


class Lifecycle(Protocol):
    """What any service may have; where it has it, it is called like this."""

    async def initialize(self) -> None:
        """Get ready for use; awaited once, before anything else."""
        ...

    async def close(self) -> None:
        """Give back what was taken; awaited once, after everything else."""
        ...

    async def health_check(self) -> bool:
        """Tell whether the service can do its work now."""
        ...


def conformance_problems(interface: type, implementation: type, field: str) -> tuple[Problem, ...]:
    """Tell in what a class falls short of an interface.

    Args:
        interface: A Protocol, an abstract class, or any other class, which then must be a base of the implementation.
        implementation: The class of the service.
        field: Where the service is declared, for the problems.
    """
    if not is_interface(interface) and not issubclass(implementation, interface):
        problem = Problem(
            field=field,
            message=f"{implementation.__qualname__} is no subclass of {interface.__qualname__}",
            remedy=f"derive it from {interface.__qualname__}, or make {interface.__qualname__} a Protocol",
        )
        return (problem,)
    return (
        *_interface_problems(interface, implementation, field),
        *_still_abstract(interface, implementation, field),
        *_lifecycle(interface, implementation, field),
    )


def is_interface(kind: type) -> bool:
    """Tell whether a class is made to be implemented by others: a Protocol, or abstract."""
    return typing_extensions.is_protocol(kind) or inspect.isabstract(kind)


def members_of(interface: type) -> tuple[str, ...]:
    """Give the names of what an interface asks for, in the order in which it declares them; none for a plain class."""
    names: frozenset[str] = getattr(interface, "__abstractmethods__", frozenset())
    if typing_extensions.is_protocol(interface):
        names |= typing_extensions.get_protocol_members(interface)
    bases = reversed(interface.__mro__)
    declared = dict.fromkeys(name for base in bases for name in (*vars(base), *inspect.get_annotations(base)))
    return tuple(name for name in declared if name in names)


def _interface_problems(interface: type, implementation: type, field: str) -> Iterator[Problem]:
    owner = implementation.__qualname__
    if hasattr(implementation, "__getattr__"):
        return  # it answers to names that no class tells of
    for name in members_of(interface):
        wanted = Method.of(interface, name)
        if wanted is None:
            if not _may_have_attribute(implementation, name):
                message = f"{owner} has no attribute {name!r}, which {interface.__qualname__} declares"
                yield Problem(field=field, message=message, remedy="set it in the class or in its __init__")
            continue
        given = Method.of(implementation, name)
        if given is not None and not given.is_only_declared:
            yield from _differences(interface, owner, wanted, given, field)
        elif inspect.getattr_static(implementation, name, None) is None or given is not None:
            yield Problem(
                field=field,
                message=f"{owner} has no method {name!r}, which {interface.__qualname__} declares",
                remedy=f"add `{wanted.head}`",
            )


def _still_abstract(interface: type, implementation: type, field: str) -> Iterator[Problem]:
    """Tell what keeps a class from having instances, beside what the interface asks for."""
    left: frozenset[str] = getattr(implementation, "__abstractmethods__", frozenset())
    for name in sorted(left.difference(members_of(interface))):
        yield Problem(
            field=field, message=f"{implementation.__qualname__} is abstract, because of {name!r}", remedy="define it"
        )


def _lifecycle(interface: type, implementation: type, field: str) -> Iterator[Problem]:
    for name in members_of(Lifecycle):
        wanted, given = Method.of(Lifecycle, name), Method.of(implementation, name)
        if wanted is not None and given is not None and name not in members_of(interface):
            yield from _differences(Lifecycle, implementation.__qualname__, wanted, given, field)


def _differences(interface: type, owner: str, wanted: Method, given: Method, field: str) -> Iterator[Problem]:
    said = list(_told_differences(interface, wanted, given))
    for each in said:
        yield Problem(
            field=field, message=f"{owner}.{given.name} {each}", remedy=f"make it take the place of `{wanted.head}`"
        )


def _told_differences(interface: type, wanted: Method, given: Method) -> Iterator[str]:
    if not _same_way(wanted, given):
        whose = "services" if interface is Lifecycle else interface.__qualname__
        yield f"is {given.way.value}, and that of {whose} is {wanted.way.value}"
    elif not fits(given.result, wanted.result):
        yield f"gives {annotation_text(given.result)}, where callers expect {annotation_text(wanted.result)}"
    if wanted.signature is not None and given.signature is not None:
        yield from call_differences(wanted.signature, given.signature)


def _same_way(wanted: Method, given: Method) -> bool:
    if wanted.way is given.way:
        return True
    if given.way is Way.ITERATION:
        return wanted.way is Way.VALUE and wanted.may_iterate
    return wanted.way is Way.ITERATION and given.way is Way.VALUE and given.may_iterate


def _may_have_attribute(implementation: type, name: str) -> bool:
    """Tell whether instances can have an attribute: the class has or announces it, or its `__init__` names it."""
    found = inspect.getattr_static(implementation, name, None)
    if hasattr(implementation, name) and not getattr(found, "__isabstractmethod__", False):
        return True
    own = [base for base in implementation.__mro__ if not typing_extensions.is_protocol(base)]
    if any(name in inspect.get_annotations(base) for base in own):
        return True
    codes = [getattr(vars(base).get("__init__"), "__code__", None) for base in own]
    return any(code is not None and name in code.co_names for code in codes)
