"""A reload swaps what has changed and what depends on it, while requests go on."""

import asyncio
import gc
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from mizzen_runtime.container import (
    ContainerClosedError,
    DependencyContainer,
    InvalidContainerError,
    Registrations,
    StartFailedError,
)
from tests.unit.runtime.container.doubles import LONG, Noted, Notes, forever, noted, until

pytestmark = pytest.mark.anyio


def fail(error: BaseException) -> Callable[[], None]:
    def behave() -> None:
        raise error

    return behave


class Shop:
    """A container with a pool, a cache that is made of nothing, orders made of the pool, and sessions made of both."""

    def __init__(self) -> None:
        self.notes: Notes = []
        self.Pool = noted(self.notes, "Pool")
        self.Cache = noted(self.notes, "Cache")
        self.Orders = noted(self.notes, "Orders", self.Pool)
        self.Session = noted(self.notes, "Session", self.Orders, self.Cache)
        self.container = DependencyContainer(close_seconds=LONG)
        self.container.register_singleton(self.Pool, self.Pool, name="pool")
        self.container.register_singleton(self.Cache, self.Cache, name="cache")
        self.container.register_singleton(self.Orders, self.Orders, name="orders")
        self.container.register_scoped(self.Session, self.Session, name="session")

    def with_pool(self, name: str = "Pool2", **behaviour: Callable[[], Any]) -> Registrations:
        """Give a draft with another pool."""
        draft = self.container.draft()
        draft.remove("pool")
        draft.register_singleton(self.Pool, self.pool_class(name, **behaviour), name="pool")
        return draft

    def pool_class(self, name: str, **behaviour: Callable[[], Any]) -> type[Noted]:
        return type(name, (self.Pool,), {"name": name, "behaviour": behaviour})

    async def names(self) -> list[str]:
        """Give the names of what a new request sees."""
        async with self.container.request_scope() as scope:
            orders = await scope.get_service(self.Orders)
            return [orders.needed["pool"].work(), (await scope.get_service(self.Pool)).work()]


@pytest.fixture
async def shop() -> Shop:
    shop = Shop()
    await shop.container.start()
    shop.notes.clear()
    return shop


async def test_what_has_changed_and_what_needs_it_is_built_anew(shop: Shop) -> None:
    before = shop.container.services()

    await shop.container.reload(shop.with_pool())

    after = shop.container.services()
    assert [name for name in after if after[name] is before[name]] == ["cache"]
    assert await shop.names() == ["Pool2", "Pool2"]
    await until(lambda: "closed Pool" in shop.notes)
    assert shop.notes == [
        *("opening Pool2", "open Pool2", "opening Orders", "open Orders"),
        *("closing Orders", "closed Orders", "closing Pool", "closed Pool"),
    ]


async def test_a_draft_without_changes_builds_nothing(shop: Shop) -> None:
    await shop.container.reload(shop.container.draft())

    assert shop.notes == []
    assert await shop.names() == ["Pool", "Pool"]


async def test_a_request_that_goes_on_sees_what_it_began_with(shop: Shop) -> None:
    async with shop.container.request_scope() as scope:
        session = await scope.get_service(shop.Session)
        await shop.container.reload(shop.with_pool())
        assert (await scope.get_service(shop.Pool)).work() == "Pool"
        assert session.needed["orders"].needed["pool"].work() == "Pool"
        assert await shop.names() == ["Pool2", "Pool2"]
        assert "closing Pool" not in shop.notes

    await until(lambda: "closed Pool" in shop.notes)
    closed = [note for note in shop.notes if note.startswith("closed")]
    assert closed == ["closed Session", "closed Orders", "closed Pool"]


async def test_nothing_remembers_an_old_generation(shop: Shop) -> None:
    old = weakref.ref(shop.container.services()["pool"])
    async with shop.container.request_scope() as scope:
        await scope.get_service(shop.Session)
        await shop.container.reload(shop.with_pool())
    await until(lambda: "closed Pool" in shop.notes)
    for _ in range(20):
        await asyncio.sleep(0)  # the tasks that closed it end
    del scope
    gc.collect()

    assert old() is None


async def test_the_last_of_several_requests_ends_the_old_generation(shop: Shop) -> None:
    first, second = shop.container.request_scope(), shop.container.request_scope()
    await first.__aenter__()
    await second.__aenter__()
    await shop.container.reload(shop.with_pool())

    await first.__aexit__(None, None, None)
    assert (await second.get_service(shop.Pool)).work() == "Pool"
    await second.__aexit__(None, None, None)

    await until(lambda: "closed Pool" in shop.notes)


async def test_three_generations_live_side_by_side_and_share_what_did_not_change(shop: Shop) -> None:
    async with shop.container.request_scope() as first:
        await shop.container.reload(shop.with_pool("Pool2"))
        async with shop.container.request_scope() as second:
            await shop.container.reload(shop.with_pool("Pool3"))
            async with shop.container.request_scope() as third:
                scopes = (first, second, third)
                assert [(await each.get_service(shop.Pool)).work() for each in scopes] == ["Pool", "Pool2", "Pool3"]
                assert len({id(await each.get_service(shop.Cache)) for each in scopes}) == 1
        await until(lambda: "closed Pool2" in shop.notes)
        assert "closing Pool" not in shop.notes
    await shop.container.close()

    assert [note for note in shop.notes if note.startswith("closed")].count("closed Cache") == 1
    assert {note for note in shop.notes if note.startswith("closed Pool")} == {
        "closed Pool",
        "closed Pool2",
        "closed Pool3",
    }


async def test_a_new_one_that_fails_leaves_the_old_in_place(shop: Shop) -> None:
    before = shop.container.services()

    with pytest.raises(StartFailedError) as failed:
        await shop.container.reload(shop.with_pool(initialize=fail(OSError("hunter2"))))

    assert str(failed.value) == "AgentServices -> orders (Orders) -> pool (Pool2): its initialize() raised OSError"
    assert shop.container.services() == before
    assert shop.notes == ["opening Pool2", "closing Pool2", "closed Pool2"]
    assert await shop.names() == ["Pool", "Pool"]
    await shop.container.reload(shop.with_pool("Pool3"))
    assert await shop.names() == ["Pool3", "Pool3"]


async def test_a_check_sees_what_is_new_before_anybody_else_and_may_refuse_it(shop: Shop) -> None:
    async def check(services: Mapping[str, Any]) -> None:
        assert list(services) == ["pool", "orders"]
        assert services["pool"].work() == "Pool2"
        assert await shop.names() == ["Pool", "Pool"]
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await shop.container.reload(shop.with_pool(), check)

    assert shop.notes[-4:] == ["closing Orders", "closed Orders", "closing Pool2", "closed Pool2"]
    assert await shop.names() == ["Pool", "Pool"]


async def test_a_reload_that_is_cancelled_leaves_the_old_in_place(shop: Shop) -> None:
    reload = asyncio.ensure_future(shop.container.reload(shop.with_pool(initialize=forever)))
    await until(lambda: "opening Pool2" in shop.notes)

    reload.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reload

    assert shop.notes[-2:] == ["closing Pool2", "closed Pool2"]
    assert await shop.names() == ["Pool", "Pool"]


async def test_what_does_not_fit_together_is_not_built(shop: Shop) -> None:
    draft = shop.container.draft()
    draft.remove("pool")

    with pytest.raises(InvalidContainerError) as refused:
        await shop.container.reload(draft)

    assert str(refused.value) == (
        "AgentServices -> orders (Orders) -> pool: nothing gives it a value of type Pool, and it has no default; "
        "add a service of this class, pass it where the service is registered, or give it a default"
    )
    assert await shop.names() == ["Pool", "Pool"]


async def test_services_come_and_go(shop: Shop) -> None:
    extra = noted(shop.notes, "Extra", shop.Pool)
    draft = shop.container.draft()
    draft.remove("cache")
    draft.remove("session")
    draft.register_singleton(extra, extra, name="extra")

    await shop.container.reload(draft)

    assert list(shop.container.services()) == ["pool", "orders", "extra"]
    await until(lambda: "closed Cache" in shop.notes)
    assert shop.notes == ["opening Extra", "open Extra", "closing Cache", "closed Cache"]
    with pytest.raises(KeyError):
        draft.remove("cache")


class Optional:
    def __init__(self, extra: Noted | None = None) -> None:
        self.extra = extra


async def test_a_service_is_built_anew_when_what_it_can_do_without_comes_or_goes(shop: Shop) -> None:
    draft = shop.container.draft()
    draft.register_singleton(Optional, Optional)
    await shop.container.reload(draft)
    assert (await shop.container.get_service(Optional)).extra is None

    draft = shop.container.draft()
    draft.register_singleton(Noted, noted(shop.notes, "Extra"), name="extra")
    await shop.container.reload(draft)
    extra = (await shop.container.get_service(Optional)).extra
    assert extra is not None
    assert extra.work() == "Extra"

    draft = shop.container.draft()
    draft.remove("extra")
    await shop.container.reload(draft)
    assert (await shop.container.get_service(Optional)).extra is None


async def test_what_is_being_made_keeps_what_it_is_made_of(shop: Shop) -> None:
    gate = asyncio.Event()
    report = noted(shop.notes, "Report", shop.Pool, initialize=gate.wait)
    draft = shop.container.draft()
    draft.register_transient(report, report)
    await shop.container.reload(draft)
    asking = asyncio.ensure_future(shop.container.get_service(report))
    await until(lambda: "opening Report" in shop.notes)

    await shop.container.reload(shop.with_pool())
    for _ in range(20):
        await asyncio.sleep(0)  # a close that begins too early has this time for it
    assert await shop.names() == ["Pool2", "Pool2"]
    assert "closing Pool" not in shop.notes
    gate.set()
    await asking

    await until(lambda: "closed Pool" in shop.notes)


async def test_a_request_scoped_service_changes_with_the_next_request(shop: Shop) -> None:
    other = type("Session2", (shop.Session,), {"name": "Session2"})
    draft = shop.container.draft()
    draft.remove("session")
    draft.register_scoped(shop.Session, other, name="session")

    await shop.container.reload(draft)

    assert shop.notes == []
    async with shop.container.request_scope() as scope:
        assert (await scope.get_service(shop.Session)).work() == "Session2"


async def test_reloads_come_one_after_the_other(shop: Shop) -> None:
    gate = asyncio.Event()
    first = asyncio.ensure_future(shop.container.reload(shop.with_pool("Pool2", initialize=gate.wait)))
    await until(lambda: "opening Pool2" in shop.notes)
    second = asyncio.ensure_future(shop.container.reload(shop.with_pool("Pool3")))
    for _ in range(20):
        await asyncio.sleep(0)  # one that begins too early has this time for it
    assert "opening Pool3" not in shop.notes
    gate.set()
    await asyncio.gather(first, second)

    assert await shop.names() == ["Pool3", "Pool3"]


async def test_a_container_that_closes_ends_a_reload(shop: Shop) -> None:
    container = shop.container
    container._scope_seconds = 0.01
    reload = asyncio.ensure_future(container.reload(shop.with_pool(initialize=forever)))
    await until(lambda: "opening Pool2" in shop.notes)

    await container.close()

    with pytest.raises(ContainerClosedError):
        await reload
    assert {note for note in shop.notes if note.startswith("closed")} == {
        "closed Pool",
        "closed Pool2",
        "closed Orders",
        "closed Cache",
    }


async def test_a_container_that_closes_during_a_check_swaps_nothing_in(shop: Shop) -> None:
    container = shop.container
    container._scope_seconds = 0.01

    async def check(services: Mapping[str, Any]) -> None:
        await container.close()

    with pytest.raises(ContainerClosedError, match=r"^the container is closed$"):
        await container.reload(shop.with_pool(), check)

    assert shop.notes.count("closed Pool") == shop.notes.count("closed Pool2") == 1


async def test_what_is_not_ready_yet_is_shared_too(shop: Shop) -> None:
    container = Shop().container
    draft = container.draft()
    extra = noted([], "Extra")
    draft.register_singleton(extra, extra, name="extra")

    await container.reload(draft)

    assert {name for name, service in container.services().items() if service is not None} == {"extra"}
    await container.start()
    assert None not in container.services().values()


async def test_requests_in_a_row_of_swaps_never_see_a_closed_service(shop: Shop) -> None:
    swapping = True
    seen: set[str] = set()

    async def requests() -> None:
        while swapping:
            async with shop.container.request_scope() as scope:
                session = await scope.get_service(shop.Session)
                for _ in range(3):
                    seen.add(session.needed["orders"].needed["pool"].work())
                    session.needed["cache"].work()
                    (await scope.get_service(shop.Pool)).work()
                    await asyncio.sleep(0)

    running = [asyncio.ensure_future(requests()) for _ in range(20)]
    for number in range(30):
        await shop.container.reload(shop.with_pool(f"Pool{number}"))
        assert await shop.names() == [f"Pool{number}"] * 2
        if number % 3 == 0:
            with pytest.raises(StartFailedError):
                await shop.container.reload(shop.with_pool("Broken", initialize=fail(OSError())))
    swapping = False
    await asyncio.gather(*running)
    await shop.container.close()

    assert len(seen) > 1
    for number in range(30):
        assert shop.notes.count(f"closed Pool{number}") == 1
    assert shop.notes.count("closed Pool") == 1
    assert shop.notes.count("closed Cache") == 1
    assert shop.notes.count("open Session") == shop.notes.count("closed Session") > 0
