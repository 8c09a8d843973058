"""When services are built and closed, in which order, and what becomes of them when that fails."""

import asyncio
import logging
from collections.abc import Callable
from contextvars import ContextVar
from typing import Annotated, Any

import pytest

from mizzen_runtime.container import (
    AmbiguousServiceError,
    ContainerClosedError,
    ContainerError,
    DependencyContainer,
    Named,
    Scope,
    ScopeError,
    ServiceStartError,
    StartFailedError,
    UnknownServiceError,
    building,
    closing,
)
from mizzen_runtime.services import ServiceUnavailableError
from tests.unit.runtime.container.doubles import LONG, Noted, Notes, container_of, forever, noted, stubborn, until

pytestmark = pytest.mark.anyio


def fail(error: BaseException) -> Callable[[], None]:
    def behave() -> None:
        raise error

    return behave


@pytest.fixture
def notes() -> Notes:
    return []


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (building, closing):
        monkeypatch.setattr(module, "GRACE_SECONDS", 0.01)


async def test_services_open_in_the_order_of_their_needs_and_close_in_reverse(notes: Notes) -> None:
    a = noted(notes, "A")
    b = noted(notes, "B", a)
    c = noted(notes, "C", b)
    container = container_of(c, b, a)

    await container.start()
    await container.close()

    opened = ["opening A", "open A", "opening B", "open B", "opening C", "open C"]
    assert notes == [*opened, "closing C", "closed C", "closing B", "closed B", "closing A", "closed A"]


async def test_independent_services_open_at_the_same_time(notes: Notes) -> None:
    together = asyncio.Barrier(3)
    kinds = [noted(notes, name, initialize=together.wait) for name in "ABC"]

    async with asyncio.timeout(LONG):
        await container_of(*kinds).start()

    assert notes[:3] == ["opening A", "opening B", "opening C"]


async def test_what_a_service_needs_opens_at_the_same_time_also_without_a_start(notes: Notes) -> None:
    together = asyncio.Barrier(2)
    needs = [noted(notes, name, initialize=together.wait) for name in "AB"]
    top = noted(notes, "Top", *needs)
    container = container_of(top, *needs)

    async with asyncio.timeout(LONG):
        assert (await container.get_service(top)).work() == "Top"


async def test_a_singleton_sees_nothing_of_the_request_that_asked_first(notes: Notes) -> None:
    request: ContextVar[str] = ContextVar("request", default="none")
    a = noted(notes, "A", initialize=lambda: notes.append(request.get()))
    request.set("the first")

    await container_of(a).get_service(a)

    assert notes == ["opening A", "none", "open A"]


async def test_a_service_does_not_wait_for_those_that_it_does_not_need(notes: Notes) -> None:
    gate = asyncio.Event()
    slow, a = noted(notes, "Slow", initialize=gate.wait), noted(notes, "A")
    b = noted(notes, "B", a)
    start = asyncio.ensure_future(container_of(slow, b, a).start())

    await until(lambda: "open B" in notes)
    assert "open Slow" not in notes
    gate.set()
    await start
    assert notes[-1] == "open Slow"


async def test_they_close_in_the_reverse_of_the_order_in_which_they_became_ready(notes: Notes) -> None:
    gate = asyncio.Event()
    container = container_of(noted(notes, "Slow", initialize=gate.wait), noted(notes, "Fast"))
    start = asyncio.ensure_future(container.start())
    await until(lambda: "open Fast" in notes)
    gate.set()
    await start

    await container.close()

    assert notes[-4:] == ["closing Slow", "closed Slow", "closing Fast", "closed Fast"]


async def test_many_who_ask_at_once_get_the_same_service(notes: Notes) -> None:
    gate = asyncio.Event()
    a = noted(notes, "A", initialize=gate.wait)
    container = container_of(noted(notes, "B", a), a)
    asking = [asyncio.ensure_future(container.get_service(a)) for _ in range(100)]
    await until(lambda: "opening A" in notes)
    gate.set()

    assert len({id(each) for each in await asyncio.gather(*asking)}) == 1
    assert notes == ["opening A", "open A"]


async def test_who_is_cancelled_while_it_asks_keeps_nobody_else_from_the_service(notes: Notes) -> None:
    gate = asyncio.Event()
    a = noted(notes, "A", initialize=gate.wait)
    container = container_of(a)
    first, second = (asyncio.ensure_future(container.get_service(a)) for _ in range(2))
    await until(lambda: "opening A" in notes)
    first.cancel()
    gate.set()

    assert (await second).work() == "A"
    assert first.cancelled()
    await container.close()
    assert notes == ["opening A", "open A", "closing A", "closed A"]


async def test_a_failure_closes_what_was_open_and_tells_the_path(notes: Notes) -> None:
    a = noted(notes, "A")
    b = noted(notes, "B", a, initialize=fail(OSError("password=hunter2")))
    c = noted(notes, "C", b)
    container = container_of(noted(notes, "D"), c, b, a)

    with pytest.raises(StartFailedError) as failed:
        await container.start()

    assert str(failed.value) == "AgentServices -> C -> B: its initialize() raised OSError"
    assert isinstance(failed.value.failures[0].__cause__, OSError)
    assert sorted(notes[:5]) == ["open A", "open D", "opening A", "opening B", "opening D"]
    assert sorted(notes[5:]) == ["closed A", "closed B", "closed D", "closing A", "closing B", "closing D"]
    assert notes.index("closed B") < notes.index("closing A")


async def test_all_failures_are_told_at_once(notes: Notes) -> None:
    a = noted(notes, "A", initialize=fail(ServiceUnavailableError("the database at db:5432 does not answer")))
    b = noted(notes, "B", initialize=fail(KeyError("hunter2")))
    container = container_of(a, b, initialize_seconds=0.01)
    container.register_singleton(Noted, noted(notes, "C", initialize=forever), name="third")

    with pytest.raises(StartFailedError) as failed:
        await container.start()

    assert str(failed.value) == (
        "AgentServices -> A: the database at db:5432 does not answer; "
        "AgentServices -> B: its initialize() raised KeyError; "
        "AgentServices -> third (C): its initialize() took longer than 0.01 s"
    )


async def test_a_container_that_did_not_start_can_be_started_again(notes: Notes) -> None:
    down = [True]
    a = noted(notes, "A", initialize=lambda: fail(OSError())() if down[0] else None)
    container = container_of(a)

    with pytest.raises(StartFailedError):
        await container.start()
    down[0] = False
    await container.start()

    assert (await container.get_service(a)).work() == "A"
    assert notes == ["opening A", "closing A", "closed A", "opening A", "open A"]


async def test_what_may_fail_is_tried_again_when_somebody_asks(notes: Notes, caplog: pytest.LogCaptureFixture) -> None:
    down = [True]
    cache = noted(notes, "Cache", initialize=lambda: fail(OSError("hunter2"))() if down[0] else None)
    container = container_of(noted(notes, "Database"))
    container.register_singleton(cache, cache, name="cache")

    await container.start(may_fail={"cache"})
    with pytest.raises(ServiceStartError) as failed:
        await container.get_service(cache)
    assert str(failed.value) == "Cache -> cache (Cache): its initialize() raised OSError"
    assert container.services()["cache"] is None
    down[0] = False
    await container.start(may_fail={"cache"})

    assert container.services()["cache"].work() == "Cache"
    assert notes.count("open Database") == 1
    assert [(record.message, vars(record)["service"]) for record in caplog.records] == [
        ("a service is not ready", "cache (Cache)")
    ]
    assert "hunter2" not in caplog.records[0].getMessage()


async def test_what_needs_what_may_fail_must_not_fail(notes: Notes) -> None:
    cache = noted(notes, "Cache", initialize=fail(OSError()))
    container = container_of(noted(notes, "Shop", cache))
    container.register_singleton(cache, cache, name="cache")

    with pytest.raises(StartFailedError, match=r"^AgentServices -> Shop -> cache \(Cache\): its initialize"):
        await container.start(may_fail={"cache"})


async def test_a_later_start_that_fails_closes_nothing(notes: Notes) -> None:
    cache = noted(notes, "Cache", initialize=fail(OSError()))
    container = container_of(noted(notes, "Database"))
    container.register_singleton(cache, cache, name="cache")
    await container.start(may_fail={"cache"})

    with pytest.raises(StartFailedError):
        await container.start()

    assert "closing Database" not in notes


async def test_a_start_that_is_cancelled_leaves_nothing_open(notes: Notes) -> None:
    a = noted(notes, "A")
    container = container_of(a, noted(notes, "B", a, initialize=forever))
    start = asyncio.ensure_future(container.start())
    await until(lambda: "opening B" in notes)

    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start

    assert notes == ["opening A", "open A", "opening B", "closing B", "closed B", "closing A", "closed A"]


@pytest.mark.usefixtures("brief")
async def test_a_start_ends_in_time_whatever_a_service_does(notes: Notes) -> None:
    container = container_of(noted(notes, "A", initialize=stubborn), initialize_seconds=0.01)

    async with asyncio.timeout(LONG):
        with pytest.raises(StartFailedError, match=r"took longer than 0.01 s"):
            await container.start()


@pytest.mark.parametrize("ending", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()])
async def test_own_code_cannot_end_the_event_loop(notes: Notes, ending: BaseException) -> None:
    container = container_of(noted(notes, "A", initialize=fail(ending)))

    with pytest.raises(StartFailedError, match=f"its initialize\\(\\) raised {type(ending).__name__}"):
        await container.start()


@pytest.mark.parametrize("error", [ValueError("hunter2"), SystemExit("hunter2")])
async def test_a_constructor_that_raises_is_told_without_its_text(error: BaseException) -> None:
    def broken() -> object:
        raise error

    container = DependencyContainer()
    container.register_factory(object, broken, name="it")

    with pytest.raises(ServiceStartError) as failed:
        await container.get_service(object)

    assert str(failed.value) == f"object -> it (broken): it raised {type(error).__name__}"


async def test_close_goes_on_after_a_failure_and_tells_of_it(notes: Notes, caplog: pytest.LogCaptureFixture) -> None:
    failed: list[str] = []
    container = container_of(
        noted(notes, "A"),
        noted(notes, "B", close=fail(OSError("hunter2"))),
        noted(notes, "C", close=forever),
        noted(notes, "D", close=fail(SystemExit())),
        noted(notes, "E", close=fail(asyncio.CancelledError())),
        close_seconds=0.05,
        on_close_failure=failed.append,
    )
    await container.start()

    await container.close()

    assert failed == ["E", "D", "C", "B"]
    assert notes[-2:] == ["closing A", "closed A"]
    assert [(vars(record)["service"], vars(record)["reason"]) for record in caplog.records] == [
        ("E", "it was cancelled"),
        ("D", "it raised"),
        ("C", "it took longer than 0.05 s"),
        ("B", "it raised"),
    ]


async def test_what_counts_the_failures_may_fail_itself(notes: Notes, caplog: pytest.LogCaptureFixture) -> None:
    def count(name: str) -> None:
        raise KeyError(name)

    container = container_of(noted(notes, "A"), noted(notes, "B", close=fail(OSError())), on_close_failure=count)
    await container.start()

    async with asyncio.timeout(LONG):
        await container.close()

    assert notes[-1] == "closed A"
    assert caplog.records[-1].message == "what counts services that fail to close failed itself"


async def test_a_failure_that_is_cancelled_while_it_closes_delays_what_it_was_made_of(notes: Notes) -> None:
    gate = asyncio.Event()
    a = noted(notes, "A")
    container = container_of(a, noted(notes, "B", a, initialize=fail(OSError()), close=gate.wait))
    container._scope_seconds = 0
    start = asyncio.ensure_future(container.start())
    await until(lambda: "closing B" in notes)

    close = asyncio.ensure_future(container.close())
    await asyncio.sleep(0.05)  # what must not happen has this time for it
    assert "closing A" not in notes
    gate.set()
    await close

    assert notes[-3:] == ["closed B", "closing A", "closed A"]
    with pytest.raises((StartFailedError, ContainerClosedError)):
        await start


@pytest.mark.usefixtures("brief")
async def test_a_service_that_does_not_end_when_it_is_cancelled_is_left_behind(
    notes: Notes, caplog: pytest.LogCaptureFixture
) -> None:
    container = container_of(noted(notes, "A"), noted(notes, "B", close=stubborn), close_seconds=0.01)
    await container.start()

    async with asyncio.timeout(LONG):
        await container.close()

    assert notes[-3:] == ["closing B", "closing A", "closed A"]
    assert [vars(record)["reason"] for record in caplog.records] == ["it did not end 0.01 s after it was cancelled"]


@pytest.mark.usefixtures("brief")
async def test_one_that_was_left_behind_and_comes_back_changes_nothing(notes: Notes) -> None:
    back, gate = asyncio.Event(), asyncio.Event()

    async def come_back_late() -> None:
        try:
            await forever()
        except asyncio.CancelledError:
            await back.wait()

    container = container_of(
        noted(notes, "A", close=gate.wait), noted(notes, "B", close=come_back_late), close_seconds=1
    )
    await container.start()
    close = asyncio.ensure_future(container.close())
    await until(lambda: "closing A" in notes)

    back.set()
    await until(lambda: "closed B" in notes)
    assert not close.done()
    gate.set()
    await close


async def test_a_close_that_was_cancelled_leaves_no_trace_in_the_next(notes: Notes) -> None:
    counts: list[int] = []

    def look() -> None:
        task = asyncio.current_task()
        counts.append(-1 if task is None else task.cancelling())

    container = container_of(
        noted(notes, "A", close=look),
        noted(notes, "B", close=forever),
        noted(notes, "C", close=look),
        close_seconds=0.01,
    )
    await container.start()
    await container.close()

    assert counts == [0, 0]


async def test_a_close_that_is_cancelled_goes_on(notes: Notes) -> None:
    gate = asyncio.Event()
    container = container_of(noted(notes, "A"), noted(notes, "B", close=gate.wait))
    await container.start()
    close = asyncio.ensure_future(container.close())
    await until(lambda: "closing B" in notes)

    close.cancel()
    with pytest.raises(asyncio.CancelledError):
        await close
    gate.set()
    await container.close()

    assert notes[-4:] == ["closing B", "closed B", "closing A", "closed A"]


def test_an_event_loop_that_ends_closes_what_was_to_be_closed(notes: Notes) -> None:
    a = noted(notes, "A")

    async def end_early() -> None:
        container = DependencyContainer()
        container.register_scoped(a, a)
        scope = await container.request_scope().__aenter__()
        await scope.get_service(a)
        leave = asyncio.ensure_future(scope.__aexit__(None, None, None))
        await asyncio.sleep(0)
        assert not leave.done()

    asyncio.run(end_early())

    assert notes[-1] == "closed A"


async def test_a_container_that_closes_cancels_what_is_being_built(notes: Notes) -> None:
    a = noted(notes, "A", initialize=forever)
    container = container_of(a)
    asking = asyncio.ensure_future(container.get_service(a))
    await until(lambda: "opening A" in notes)

    await container.close()

    with pytest.raises(ContainerClosedError, match=r"^A is not to be had any more: the container closes$"):
        await asking
    assert notes == ["opening A", "closing A", "closed A"]


async def test_what_becomes_ready_after_the_close_is_closed_all_the_same(notes: Notes) -> None:
    gate = asyncio.Event()
    a = noted(notes, "A", initialize=gate.wait)
    container = DependencyContainer(scope_seconds=0.01)
    container.register_transient(a, a)
    asking = asyncio.ensure_future(container.get_service(a))
    await until(lambda: "opening A" in notes)
    await container.close()
    assert notes == ["opening A"]
    gate.set()

    with pytest.raises(ContainerClosedError, match=r"^the container was closed before A was ready$"):
        await asking
    assert notes == ["opening A", "open A", "closing A", "closed A"]


async def test_after_the_close_there_is_nothing(notes: Notes) -> None:
    a = noted(notes, "A")
    container = container_of(a)
    await container.close()

    for ask in (container.start, lambda: container.get_service(a), container.request_scope().__aenter__):
        with pytest.raises(ContainerClosedError, match=r"^the container is closed$"):
            await ask()
    await container.close()
    assert notes == []


async def test_services_are_registered_before_the_first_is_asked_for(notes: Notes) -> None:
    a = noted(notes, "A")
    container = container_of(a)
    await container.get_service(a)

    with pytest.raises(ContainerError, match=r"^services are registered before the first is asked for; later, reload"):
        container.register_singleton(Noted, Noted)


async def test_what_is_asked_for_and_not_there_is_told(notes: Notes) -> None:
    a, b = noted(notes, "Database"), noted(notes, "Databases")
    container = DependencyContainer()
    container.register_singleton(a, a, name="main")
    container.register_singleton(a, a, name="reports")

    with pytest.raises(UnknownServiceError, match=r"^no service implements Databases; did you mean Database\?$"):
        await container.get_service(b)
    with pytest.raises(UnknownServiceError) as unknown:
        await container.get_service(a, name="report")
    with pytest.raises(AmbiguousServiceError) as ambiguous:
        await container.get_service(a)

    assert str(unknown.value) == "no service that implements Database is called 'report'; did you mean 'reports'?"
    assert str(ambiguous.value) == (
        "2 services implement Database: 'main', 'reports'; pick one by its name, such as 'main'"
    )
    assert (await container.get_service(a, name="reports")) is not await container.get_service(a, name="main")


async def test_arguments_names_and_defaults_reach_the_implementation(notes: Notes) -> None:
    a = noted(notes, "A")

    class Shop:
        def __init__(  # noqa: PLR0917 - each in its way
            self,
            url: str,
            database: Annotated[Noted, Named("second")],
            a: a | None,  # type: ignore[valid-type]
            missing: Annotated[Noted | None, Named("third")],
            timeout: float,
            retries: int = 3,
        ) -> None:
            self.got = (url, database, a, missing, timeout, retries)

    container = container_of(a)
    for name in ("first", "second"):
        container.register_singleton(Noted, noted(notes, name), name=name)
    container.register_singleton(Shop, Shop, "http://shop", timeout=2.0)

    shop = await container.get_service(Shop)

    second = await container.get_service(Noted, name="second")
    assert shop.got == ("http://shop", second, await container.get_service(a), None, 2.0, 3)


class Settings:
    def __init__(self, url: str) -> None:
        self.url = url


class FromSettings:
    url = ""

    @classmethod
    def from_settings(cls, settings: Settings, a: Noted) -> "FromSettings":
        made = cls()
        made.url = f"{settings.url} {a.work()}"
        return made


async def make_later(settings: Settings, a: Noted) -> FromSettings:
    await asyncio.sleep(0)
    return FromSettings.from_settings(settings, a)


def say_nothing(settings: Settings, a: Noted) -> Any:
    return FromSettings.from_settings(settings, a)


@pytest.mark.parametrize("factory", [FromSettings.from_settings, make_later, say_nothing])
async def test_a_service_is_made_by_whatever_gives_one(notes: Notes, factory: Callable[..., Any]) -> None:
    container = DependencyContainer()
    container.register_singleton(Noted, noted(notes, "A"))
    container.register_factory(FromSettings, factory, Settings("db:5432"))

    assert (await container.get_service(FromSettings)).url == "db:5432 A"


async def test_what_a_factory_gives_without_saying_is_looked_at() -> None:
    def anything() -> Any:
        return "a text"

    container = DependencyContainer()
    container.register_factory(FromSettings, anything, name="it")

    with pytest.raises(ServiceStartError) as failed:
        await container.get_service(FromSettings)

    assert str(failed.value) == (
        "FromSettings -> it (anything): str is no subclass of FromSettings: "
        "derive it from FromSettings, or make FromSettings a Protocol"
    )


async def test_an_async_factory_has_its_time() -> None:
    async def slow() -> FromSettings:
        await forever()
        return FromSettings()

    container = DependencyContainer(initialize_seconds=0.01)
    container.register_factory(FromSettings, slow)

    with pytest.raises(ServiceStartError, match=r"^FromSettings -> slow: its factory took longer than 0.01 s$"):
        await container.get_service(FromSettings)


async def test_a_transient_service_is_each_ones_own_and_closes_with_it(notes: Notes) -> None:
    a = noted(notes, "A")
    b, c = noted(notes, "B", a), noted(notes, "C", a)
    container = container_of(b, c)
    container.register_transient(a, a)
    await container.start()

    first, second = await container.get_service(a), await container.get_service(a)
    assert first is not second
    assert (await container.get_service(b)).needed["a"] is not (await container.get_service(c)).needed["a"]
    await container.close()

    assert notes.count("open A") == notes.count("closed A") == 4
    assert notes[-8:] == [
        *("closing C", "closed C", "closing A", "closed A"),
        *("closing B", "closed B", "closing A", "closed A"),
    ]


async def test_a_transient_service_that_fails_is_closed_at_once(notes: Notes) -> None:
    a = noted(notes, "A", initialize=fail(OSError()))
    container = DependencyContainer()
    container.register_transient(a, a)

    with pytest.raises(ServiceStartError):
        await container.get_service(a)

    assert notes == ["opening A", "closing A", "closed A"]


async def test_the_container_itself_gives_nothing_that_lives_for_one_request(notes: Notes) -> None:
    a = noted(notes, "A")
    b = noted(notes, "B", a)
    container = DependencyContainer()
    container.register_factory(a, a, name="session", scope=Scope.REQUEST)
    container.register_transient(b, b)

    for interface in (a, b):
        with pytest.raises(ScopeError) as refused:
            await container.get_service(interface)
        assert str(refused.value) == (
            "session (A) lives for one request: use `async with container.request_scope() as scope` and "
            f"`await scope.get_service({interface.__name__})`"
        )


async def test_the_log_never_has_the_text_of_an_error(notes: Notes, caplog: pytest.LogCaptureFixture) -> None:
    from mizzen_runtime.log import JsonFormatter  # noqa: PLC0415 - as the process logs

    caplog.set_level(logging.DEBUG)
    container = container_of(noted(notes, "A", close=fail(OSError("hunter2"))))
    await container.start()
    await container.close()

    lines = [JsonFormatter().format(record) for record in caplog.records]
    assert any("OSError" in line for line in lines)
    assert not any("hunter2" in line for line in lines)
