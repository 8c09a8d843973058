"""Services that note what happens to them."""

import asyncio
from collections.abc import Callable
from typing import Any, ClassVar

from mizzen_runtime.container import DependencyContainer

Notes = list[str]

wrong: Notes = []
"""What no service may see: errors within `close()` reach nobody."""

LONG = 30.0
"""Seconds that nothing here takes, unless something is wrong."""


class Noted:
    """A service that notes when it opens and closes, and refuses work outside of that."""

    notes: ClassVar[Notes]
    name: ClassVar[str]
    needs: ClassVar[tuple[type, ...]] = ()
    behaviour: ClassVar[dict[str, Callable[[], Any]]] = {}

    def __init__(self, **needs: "Noted") -> None:
        self.needed = needs
        self.state = "made"

    async def initialize(self) -> None:
        self._expect("made")
        self.notes.append(f"opening {self.name}")
        await self._behave("initialize")
        self.state = "open"
        self.notes.append(f"open {self.name}")

    async def close(self) -> None:
        self._expect("made", "open")
        self.notes.append(f"closing {self.name}")
        self.state = "closed"
        await self._behave("close")
        self.notes.append(f"closed {self.name}")

    def _expect(self, *states: str) -> None:
        if self.state not in states:
            wrong.append(f"{self.name} is {self.state}")
        wrong.extend(f"{self.name} needs {each.name}" for each in self.needed.values() if each.state != "open")

    def work(self) -> str:
        assert self.state == "open", f"{self.name} is {self.state}"
        return self.name

    async def _behave(self, when: str) -> None:
        if when in self.behaviour:
            result = self.behaviour[when]()
            if result is not None:
                await result


def noted(notes: Notes, name: str, *needs: type[Noted], **behaviour: Callable[[], Any]) -> type[Noted]:
    """Make a class of services that needs others, as parameters of its own constructor."""

    def init(self: Noted, **needed: Noted) -> None:
        Noted.__init__(self, **needed)

    kind: type[Noted] = type(name, (Noted,), {"notes": notes, "name": name, "needs": needs, "behaviour": behaviour})
    parameters = ", ".join(f"{each.__name__.lower()}: {each.__name__}" for each in needs)
    names: dict[str, Any] = {each.__name__: each for each in needs} | {"init": init}
    passed = ", ".join(f"{each.__name__.lower()}={each.__name__.lower()}" for each in needs)
    exec(f"def __init__(self{', *, ' + parameters if needs else ''}): init(self, {passed})", names)  # noqa: S102
    kind.__init__ = names["__init__"]  # type: ignore[method-assign] # as if it was written there
    return kind


def container_of(*singletons: type[Noted], **options: Any) -> DependencyContainer:
    container = DependencyContainer(**options)
    for kind in singletons:
        container.register_singleton(kind, kind)
    return container


async def forever() -> None:
    await asyncio.Event().wait()


async def stubborn() -> None:
    """Takes no notice of being cancelled, once."""
    try:
        await forever()
    except asyncio.CancelledError:
        await forever()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that other tasks bring about."""
    async with asyncio.timeout(LONG):
        while not condition():  # noqa: ASYNC110 - what it waits for are notes
            await asyncio.sleep(0)
