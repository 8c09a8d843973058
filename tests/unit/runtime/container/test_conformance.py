# Only the heads of methods matter here: their bodies are empty, and what they take goes unused.
# mypy: disable-error-code="empty-body"
# ruff: noqa: ANN001, ANN003, ANN201, ARG002
"""What implements an interface, and what is said of what does not."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import wraps
from typing import Any, Literal, NewType, Protocol, TypedDict
from unittest.mock import AsyncMock

import pytest

from mizzen_runtime.services import CacheService, DatabaseService, ExternalAPIService
from mizzen_runtime.services.conformance import conformance_problems, members_of


def told(interface: type, implementation: type) -> list[str]:
    return [str(problem) for problem in conformance_problems(interface, implementation, "it")]


class Lookup(Protocol):
    async def find(self, key: str, /, limit: int = 10, *, exact: bool) -> list[str]: ...


HEAD = "async def find(self, key: str, /, limit: int = 10, *, exact: bool) -> list[str]"
REPLACE = f"make it take the place of `{HEAD}`"


def test_what_an_interface_asks_for_is_known_in_its_order() -> None:
    assert members_of(DatabaseService) == ("save_result", "get_result", "health_check")
    assert members_of(ExternalAPIService) == ("fetch_data", "validate_source")
    assert members_of(CacheService) == ("get", "set", "invalidate")


class Exact:
    async def find(self, key: str, /, limit: int = 10, *, exact: bool) -> list[str]: ...


class Wider:
    async def find(self, word: str, limit: int = 5, exact: bool = False, more: int = 1) -> list[str]: ...


class Anything:
    async def find(self, *args: Any, **kwargs: Any) -> Any: ...


class Unannotated:
    async def find(self, key, limit=1, **more): ...  # type: ignore[no-untyped-def]


class GivesAwaitable:
    def find(self, key: str, limit: int = 10, *, exact: bool) -> Awaitable[list[str]]: ...


class Static:
    @staticmethod
    async def find(key: str, limit: int = 10, *, exact: bool) -> list[str]: ...


class OfClass:
    @classmethod
    async def find(cls, key: str, limit: int = 10, *, exact: bool) -> list[str]: ...


def timed(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


class Decorated:
    @timed
    async def find(self, key: str, limit: int = 10, *, exact: bool) -> list[str]: ...


class Inherited(Exact):
    pass


class Proxy:
    def __getattr__(self, name: str) -> Any: ...


class Narrower(list[str]):
    pass


class Covariant:
    async def find(self, key: str, limit: int = 10, *, exact: bool) -> Narrower: ...


@pytest.mark.parametrize(
    "implementation",
    [
        Exact,
        Wider,
        Anything,
        Unannotated,
        GivesAwaitable,
        Static,
        OfClass,
        Decorated,
        Inherited,
        Proxy,
        Covariant,
        type(AsyncMock(spec=Exact)),
    ],
)
def test_whoever_can_be_called_as_the_interface_says_implements_it(implementation: type) -> None:
    assert told(Lookup, implementation) == []


class Missing:
    find = None


class NotAsync:
    def find(self, key: str, limit: int = 10, *, exact: bool) -> list[str]: ...


class Generator:
    async def find(self, key: str, limit: int = 10, *, exact: bool) -> AsyncIterator[str]:
        yield key


class NoLimit:
    async def find(self, key: str, *, exact: bool) -> list[str]: ...


class OtherName:
    async def find(self, key: str, maximum: int = 10, *, exact: bool) -> list[str]: ...


class PositionOnly:
    async def find(self, key: str, limit: int = 10, /, *, exact: bool) -> list[str]: ...


class KeywordOnly:
    async def find(self, key: str, *, limit: int = 10, exact: bool) -> list[str]: ...


class NoDefault:
    async def find(self, key: str, limit: int, *, exact: bool) -> list[str]: ...


class Needs:
    async def find(self, key: str, limit: int = 10, *, exact: bool, tenant: str) -> list[str]: ...


class NoKeyword:
    async def find(self, key: str, limit: int = 10) -> list[str]: ...


class NoKeywords:
    async def find(self, *args: Any) -> list[str]: ...


class NoArguments:
    async def find(self, **kwargs: Any) -> list[str]: ...


class GivesOther:
    async def find(self, key: str, limit: int = 10, *, exact: bool) -> dict[str, int] | None: ...


class GivesOthers:
    async def find(self, key: str, limit: int = 10, *, exact: bool) -> "list[int]": ...


@pytest.mark.parametrize(
    ("implementation", "problems"),
    [
        (object, [f"it: object has no method 'find', which Lookup declares; add `{HEAD}`"]),
        (Missing, [f"it: Missing has no method 'find', which Lookup declares; add `{HEAD}`"]),
        (NotAsync, [f"it: NotAsync.find is not async, and that of Lookup is async; {REPLACE}"]),
        (Generator, [f"it: Generator.find is an async generator, and that of Lookup is async; {REPLACE}"]),
        (NoLimit, [f"it: NoLimit.find does not take 'limit'; {REPLACE}"]),
        (
            OtherName,
            [
                "it: OtherName.find has 'maximum' in the place of 'limit', so that nobody can pass it by keyword; "
                + REPLACE
            ],
        ),
        (PositionOnly, [f"it: PositionOnly.find takes 'limit' by position only; {REPLACE}"]),
        (KeywordOnly, [f"it: KeywordOnly.find takes 'limit' by keyword only; {REPLACE}"]),
        (NoDefault, [f"it: NoDefault.find needs 'limit', which callers may leave out; {REPLACE}"]),
        (Needs, [f"it: Needs.find needs 'tenant', which callers do not pass; {REPLACE}"]),
        (NoKeyword, [f"it: NoKeyword.find does not take 'exact' by keyword; {REPLACE}"]),
        (
            NoKeywords,
            [
                f"it: NoKeywords.find does not take 'limit' by keyword; {REPLACE}",
                f"it: NoKeywords.find does not take 'exact' by keyword; {REPLACE}",
            ],
        ),
        (
            NoArguments,
            [
                f"it: NoArguments.find does not take 'key'; {REPLACE}",
                f"it: NoArguments.find does not take 'limit'; {REPLACE}",
            ],
        ),
        (
            GivesOther,
            [f"it: GivesOther.find gives dict[str, int] | None, where callers expect list[str]; {REPLACE}"],
        ),
        (GivesOthers, [f"it: GivesOthers.find gives list[int], where callers expect list[str]; {REPLACE}"]),
    ],
)
def test_whatever_a_caller_could_stumble_over_is_told(implementation: type, problems: list[str]) -> None:
    assert told(Lookup, implementation) == problems


class Everything(Protocol):
    def all(self, *args: int, **kwargs: int) -> None: ...


class Nothing:
    def all(self) -> None: ...


def test_arguments_without_number_are_part_of_an_interface() -> None:
    assert told(Everything, Nothing) == [
        (
            "it: Nothing.all takes no further arguments (*args); "
            "make it take the place of `def all(self, *args: int, **kwargs: int) -> None`"
        ),
        (
            "it: Nothing.all takes no further keywords (**kwargs); "
            "make it take the place of `def all(self, *args: int, **kwargs: int) -> None`"
        ),
    ]


class Stubbed(DatabaseService):
    async def save_result(self, result_data: dict[str, Any]) -> str:
        return "1"

    async def health_check(self) -> bool:
        return True


class WithDefault(Protocol):
    async def price(self, sku: str) -> float: ...

    async def prices(self, skus: list[str]) -> list[float]:
        return [await self.price(sku) for sku in skus]


class Priced(WithDefault):
    async def price(self, sku: str) -> int:
        return 1


def test_a_method_that_a_protocol_only_declares_is_not_inherited() -> None:
    assert told(DatabaseService, Stubbed) == [
        (
            "it: Stubbed has no method 'get_result', which DatabaseService declares; "
            "add `async def get_result(self, result_id: str) -> dict[str, Any] | None`"
        )
    ]
    assert told(WithDefault, Priced) == []


class Shape(ABC):
    @abstractmethod
    def area(self) -> float: ...

    @property
    @abstractmethod
    def name(self) -> str: ...

    def doubled(self) -> float:
        return 2 * self.area()


class Square(Shape):
    def area(self) -> float:
        return 1.0

    @property
    def name(self) -> str:
        return "square"


class Circle(Shape):
    def area(self, precision: int) -> float:  # type: ignore[override]
        return 3.0


def test_an_abstract_class_is_an_interface_too() -> None:
    assert told(Shape, Square) == []
    assert told(Shape, Circle) == [
        (
            "it: Circle.area needs 'precision', which callers do not pass; "
            "make it take the place of `def area(self) -> float`"
        ),
        "it: Circle has no attribute 'name', which Shape declares; set it in the class or in its __init__",
    ]


class Figure(ABC):
    @abstractmethod
    def draw(self) -> None: ...


class Drawn(Figure, Exact):
    pass


def test_a_class_without_instances_implements_nothing() -> None:
    assert told(Lookup, Drawn) == ["it: Drawn is abstract, because of 'draw'; define it"]


def test_any_other_class_is_implemented_by_its_subclasses_only() -> None:
    assert told(Square, Square) == []
    assert told(Square, Circle) == [
        "it: Circle is no subclass of Square; derive it from Square, or make Square a Protocol"
    ]


class Regional(Protocol):
    region: str

    def city(self) -> str: ...


class InClass:
    region = "eu"

    def city(self) -> str: ...


class Announced:
    region: str

    def city(self) -> str: ...


class InInit:
    def __init__(self) -> None:
        self.region = "eu"

    def city(self) -> str: ...


class InheritedInit(InInit):
    def __init__(self) -> None:
        super().__init__()


class ByProperty:
    @property
    def region(self) -> str: ...

    def city(self) -> str: ...


class Nowhere:
    def city(self) -> str: ...


class NowhereByProtocol(Regional):
    def city(self) -> str:
        return ""


def test_an_attribute_may_be_set_where_a_class_sets_attributes() -> None:
    for complete in (InClass, Announced, InInit, InheritedInit, ByProperty):
        assert told(Regional, complete) == []
    for incomplete in (Nowhere, NowhereByProtocol):
        assert told(Regional, incomplete) == [
            (
                f"it: {incomplete.__name__} has no attribute 'region', which Regional declares; "
                "set it in the class or in its __init__"
            )
        ]


class Lived(Exact):
    def close(self) -> None: ...

    async def initialize(self, pool: int) -> None: ...

    async def health_check(self) -> str: ...


def test_what_any_service_may_have_is_looked_at_too() -> None:
    assert told(Lookup, Lived) == [
        (
            "it: Lived.initialize needs 'pool', which callers do not pass; "
            "make it take the place of `async def initialize(self) -> None`"
        ),
        (
            "it: Lived.close is not async, and that of services is async; "
            "make it take the place of `async def close(self) -> None`"
        ),
        (
            "it: Lived.health_check gives str, where callers expect bool; "
            "make it take the place of `async def health_check(self) -> bool`"
        ),
    ]


class Row(TypedDict):
    id: str


UserId = NewType("UserId", str)


class Typed(Protocol):
    def row(self) -> dict[str, Any]: ...
    def mapping(self) -> Mapping[str, int]: ...
    def number(self) -> float: ...
    def text(self) -> str: ...
    def maybe(self) -> str | None: ...
    def side(self) -> Literal["left", "right"]: ...
    def unknown(self) -> "Nowhere.NotThere": ...  # type: ignore[name-defined]
    def items(self) -> AsyncIterator[str]: ...


class Fits:
    def row(self) -> Row: ...
    def mapping(self) -> dict[str, int]: ...
    def number(self) -> int: ...
    def text(self) -> UserId: ...
    def maybe(self) -> Literal["yes"]: ...
    def side(self) -> Literal["left"]: ...
    def unknown(self) -> int: ...
    async def items(self) -> AsyncIterator[str]:
        yield ""


class FitsNot:
    def row(self) -> list[Any]: ...
    def mapping(self) -> dict[str, str]: ...
    def number(self) -> str: ...
    def text(self) -> int: ...
    def maybe(self) -> str | int | None: ...
    def side(self) -> Literal["left", "middle"]: ...
    def unknown(self) -> int: ...
    async def items(self) -> list[str]: ...


def test_what_is_given_must_be_what_was_promised_where_both_say_so() -> None:
    assert told(Typed, Fits) == []
    assert [text.partition(";")[0].removeprefix("it: FitsNot.") for text in told(Typed, FitsNot)] == [
        "row gives list[Any], where callers expect dict[str, Any]",
        "number gives str, where callers expect float",
        "text gives int, where callers expect str",
        "maybe gives str | int | None, where callers expect str | None",
        "side gives Literal['left', 'middle'], where callers expect Literal['left', 'right']",
        "items is async, and that of Typed is not async",
    ]
