"""One run of an agent has services of its own, closed with it, however it ends."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from mizzen_runtime.container import (
    DependencyContainer,
    RequestScope,
    ScopeError,
    ServiceStartError,
    UnknownServiceError,
    building,
    closing,
)
from tests.unit.runtime.container.doubles import LONG, Noted, Notes, container_of, forever, noted, stubborn, until

pytestmark = pytest.mark.anyio


def fail(error: BaseException) -> Callable[[], None]:
    def behave() -> None:
        raise error

    return behave


@pytest.fixture
def notes() -> Notes:
    return []


class Plain:
    """Made without waiting for anything."""

    def __init__(self, needed: "Needed") -> None:
        self.needed = needed
        self.is_closed = False

    async def close(self) -> None:
        assert not self.needed.is_closed
        self.is_closed = True


class Needed:
    def __init__(self) -> None:
        self.is_closed = False

    async def close(self) -> None:
        self.is_closed = True


def scoped(*kinds: type[Noted]) -> DependencyContainer:
    container = DependencyContainer(close_seconds=0.05)
    for kind in kinds:
        container.register_scoped(kind, kind)
    return container


async def test_a_scope_shares_its_services_and_closes_them_in_reverse(notes: Notes) -> None:
    a = noted(notes, "A")
    b = noted(notes, "B", a)
    container = scoped(b, a)

    async with container.request_scope() as scope:
        service = await scope.get_service(b)
        assert service.needed["a"] is await scope.get_service(a)
        assert notes == ["opening A", "open A", "opening B", "open B"]

    assert notes[4:] == ["closing B", "closed B", "closing A", "closed A"]


async def test_what_needs_no_waiting_is_made_and_closed_alike() -> None:
    container = DependencyContainer()
    container.register_scoped(Plain, Plain)
    container.register_scoped(Needed, Needed)

    async with container.request_scope() as scope:
        service = await scope.get_service(Plain)
        assert service is await scope.get_service(Plain)
        assert service.needed is await scope.get_service(Needed)

    assert service.is_closed
    assert service.needed.is_closed


async def test_what_needs_no_waiting_itself_waits_for_a_singleton_that_is_not_ready(notes: Notes) -> None:
    class Reader:
        def __init__(self, pool: Noted) -> None:
            self.name = pool.work()

    container = DependencyContainer()
    container.register_singleton(Noted, noted(notes, "Pool"))
    container.register_scoped(Reader, Reader)

    async with container.request_scope() as scope:
        assert (await scope.get_service(Reader)).name == "Pool"


async def test_a_proxy_is_initialized_by_what_it_stands_for(notes: Notes) -> None:
    class Proxy:
        def __init__(self) -> None:
            self._target = noted(notes, "Target")()

        def __getattr__(self, name: str) -> object:
            return getattr(self._target, name)

    container = DependencyContainer()
    container.register_scoped(Proxy, Proxy)

    async with container.request_scope() as scope:
        await scope.get_service(Proxy)

    assert notes == ["opening Target", "open Target", "closing Target", "closed Target"]


async def test_each_scope_has_its_own_and_all_share_the_singletons(notes: Notes) -> None:
    pool = noted(notes, "Pool")
    session = noted(notes, "Session", pool)
    container = container_of(pool)
    container.register_scoped(session, session)

    async with container.request_scope() as first, container.request_scope() as second:
        one, other = await first.get_service(session), await second.get_service(session)

    assert one is not other
    assert one.needed["pool"] is other.needed["pool"]
    assert "closing Pool" not in notes


async def test_nothing_is_made_that_nobody_asks_for(notes: Notes) -> None:
    async with scoped(noted(notes, "A")).request_scope():
        pass

    assert notes == []


async def test_a_run_that_is_cancelled_closes_its_services(notes: Notes) -> None:
    a = noted(notes, "A")
    container = scoped(a)

    async def run() -> None:
        async with container.request_scope() as scope:
            await scope.get_service(a)
            await forever()

    task = asyncio.ensure_future(run())
    await until(lambda: "open A" in notes)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert notes[-2:] == ["closing A", "closed A"]


async def test_a_run_that_is_cancelled_again_while_it_closes_still_closes_all(notes: Notes) -> None:
    gate = asyncio.Event()
    a, b = noted(notes, "A"), noted(notes, "B", close=gate.wait)
    container = DependencyContainer(close_seconds=LONG)
    container.register_scoped(a, a)
    container.register_scoped(b, b)

    async def run() -> None:
        async with container.request_scope() as scope:
            await scope.get_service(a)
            await scope.get_service(b)
            await forever()

    task = asyncio.ensure_future(run())
    await until(lambda: "open B" in notes)
    task.cancel()
    await until(lambda: "closing B" in notes)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert "closed B" not in notes
    gate.set()
    await container.close()

    assert notes[-4:] == ["closing B", "closed B", "closing A", "closed A"]


async def test_a_stream_keeps_its_services_until_its_owner_leaves(notes: Notes) -> None:
    a = noted(notes, "A")
    container = scoped(a)

    async def stream() -> AsyncIterator[str]:
        async with container.request_scope() as scope:
            service = await scope.get_service(a)
            while True:
                yield service.work()

    answers = stream()
    assert [await anext(answers), await anext(answers)] == ["A", "A"]
    await answers.aclose()  # type: ignore[attr-defined] # an async generator's

    assert notes[-2:] == ["closing A", "closed A"]


@pytest.mark.parametrize("ending", [OSError("hunter2"), SystemExit(), asyncio.CancelledError()])
async def test_a_service_that_fails_to_close_fails_no_answer(
    notes: Notes, ending: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    failed: list[str] = []
    a, b = noted(notes, "A"), noted(notes, "B", close=fail(ending))
    container = DependencyContainer(on_close_failure=failed.append)
    container.register_scoped(a, a, name="first")
    container.register_scoped(b, b, name="second")

    async def answer() -> str:
        async with container.request_scope() as scope:
            return (await scope.get_service(a)).work() + (await scope.get_service(b)).work()

    assert await answer() == "AB"
    assert failed == ["second"]
    assert notes[-2:] == ["closing A", "closed A"]
    assert [vars(record)["service"] for record in caplog.records] == ["second (B)"]


@pytest.mark.parametrize("hang", [forever, stubborn])
async def test_a_service_that_hangs_when_it_closes_delays_the_answer_for_its_time(
    notes: Notes, hang: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(closing, "GRACE_SECONDS", 0.01)
    a, b = noted(notes, "A"), noted(notes, "B", close=hang)

    async with asyncio.timeout(LONG), scoped(a, b).request_scope() as scope:
        await scope.get_service(a)
        await scope.get_service(b)

    assert notes[-3:] == ["closing B", "closing A", "closed A"]


async def test_the_answers_own_error_is_the_one_that_is_raised(notes: Notes) -> None:
    a = noted(notes, "A", close=fail(OSError()))

    async def answer() -> None:
        async with scoped(a).request_scope() as scope:
            await scope.get_service(a)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await answer()
    assert notes[-1] == "closing A"


async def test_tools_that_ask_at_once_get_the_same_service(notes: Notes) -> None:
    gate = asyncio.Event()
    a = noted(notes, "A", initialize=gate.wait)
    b = noted(notes, "B", a)

    async with scoped(a, b).request_scope() as scope:
        asking = [asyncio.ensure_future(scope.get_service(kind)) for kind in (a, b) * 20]
        await until(lambda: "opening A" in notes)
        gate.set()
        found = await asyncio.gather(*asking)

    assert len({id(each) for each in found}) == 2
    assert notes[:4] == ["opening A", "open A", "opening B", "open B"]


async def test_a_tool_that_is_cancelled_leaves_the_making_to_the_next(notes: Notes) -> None:
    gate = asyncio.Event()
    a = noted(notes, "A", initialize=gate.wait)

    async with scoped(a).request_scope() as scope:
        first, second = (asyncio.ensure_future(scope.get_service(a)) for _ in range(2))
        await until(lambda: "opening A" in notes)
        first.cancel()
        await until(lambda: notes.count("opening A") == 2)
        gate.set()
        assert (await second).work() == "A"

    assert notes == ["opening A", "opening A", "open A", "closing A", "closed A", "closing A", "closed A"]


async def test_a_failure_is_told_to_all_who_wait_for_it_and_then_tried_again(notes: Notes) -> None:
    gate, down = asyncio.Event(), [True]

    async def initialize() -> None:
        await gate.wait()
        if down[0]:
            raise OSError("hunter2")

    a = noted(notes, "A", initialize=initialize)
    b = noted(notes, "B", a)
    async with scoped(a, b).request_scope() as scope:
        asking = [asyncio.ensure_future(scope.get_service(b)) for _ in range(3)]
        await until(lambda: "opening A" in notes)
        gate.set()
        failures = await asyncio.gather(*asking, return_exceptions=True)
        assert notes.count("opening A") == 1
        down[0] = False
        assert (await scope.get_service(b)).work() == "B"

    assert {str(failure) for failure in failures} == {"B -> B -> A: its initialize() raised OSError"}
    assert all(isinstance(failure, ServiceStartError) for failure in failures)
    assert notes.count("closed A") == 2


async def test_a_scope_that_was_left_gives_nothing(notes: Notes) -> None:
    a = noted(notes, "A")
    container = scoped(a)
    scope = container.request_scope()

    with pytest.raises(ScopeError, match=r"^the request scope is not open: use it within `async with`$"):
        await scope.get_service(a)
    async with scope:
        await scope.get_service(a)
    with pytest.raises(ScopeError):
        await scope.get_service(a)


async def test_a_scope_is_entered_once(notes: Notes) -> None:
    scope = scoped(noted(notes, "A")).request_scope()
    async with scope:
        pass

    with pytest.raises(ScopeError, match=r"^a request scope is entered once: ask the container for another$"):
        await scope.__aenter__()


async def test_what_is_made_while_the_scope_is_left_is_closed_all_the_same(notes: Notes) -> None:
    gate = asyncio.Event()
    a = noted(notes, "A", initialize=gate.wait)
    container = scoped(a)
    async with container.request_scope() as scope:
        late = asyncio.ensure_future(scope.get_service(a))
        await until(lambda: "opening A" in notes)

    gate.set()
    with pytest.raises(ScopeError):
        await late
    await container.close()

    assert notes == ["opening A", "open A", "closing A", "closed A"]


async def test_a_late_one_is_told_that_the_scope_was_left() -> None:
    gate = asyncio.Event()

    class Late:
        async def initialize(self) -> None:
            await gate.wait()

    container = DependencyContainer()
    container.register_scoped(Late, Late, name="late")
    async with container.request_scope() as scope:
        late = asyncio.ensure_future(scope.get_service(Late))
        await asyncio.sleep(0)
    gate.set()

    with pytest.raises(ScopeError, match=r"^the request scope was left before late \(Late\) was ready$"):
        await late


async def test_a_transient_service_closes_with_the_scope(notes: Notes) -> None:
    a = noted(notes, "A")
    container = DependencyContainer()
    container.register_transient(a, a)

    async with container.request_scope() as scope:
        assert await scope.get_service(a) is not await scope.get_service(a)

    assert notes.count("closed A") == 2


async def test_a_scope_is_found_by_its_name_while_it_is_open(notes: Notes) -> None:
    a = noted(notes, "A")
    container = scoped(a)

    async with container.request_scope("run-1") as scope:
        assert await container.get_service(a, "run-1") is await scope.get_service(a)
        with pytest.raises(ScopeError, match=r"^a request scope is called 'run-1' already$"):
            await container.request_scope("run-1").__aenter__()
    with pytest.raises(ScopeError, match=r"^no request scope is called 'run-1': open it with request_scope\('run-1'"):
        await container.get_service(a, scope="run-1")
    async with container.request_scope("run-1"):
        pass


async def test_an_unknown_interface_is_told_in_a_scope_too(notes: Notes) -> None:
    async with scoped(noted(notes, "A")).request_scope() as scope:
        with pytest.raises(UnknownServiceError, match=r"^no service implements B; add a service with this interface$"):
            await scope.get_service(noted(notes, "B"))


async def test_the_container_waits_for_its_scopes_before_it_closes(notes: Notes) -> None:
    pool = noted(notes, "Pool")
    container = container_of(pool)
    leave = asyncio.Event()

    async def run() -> None:
        async with container.request_scope() as scope:
            service = await scope.get_service(pool)
            await leave.wait()
            service.work()
            notes.append("left")

    task = asyncio.ensure_future(run())
    await until(lambda: "open Pool" in notes)
    close = asyncio.ensure_future(container.close())
    await asyncio.sleep(0)
    leave.set()
    await asyncio.gather(task, close)

    assert notes[-3:] == ["left", "closing Pool", "closed Pool"]


async def test_it_does_not_wait_forever(notes: Notes, caplog: pytest.LogCaptureFixture) -> None:
    pool = noted(notes, "Pool")
    container = container_of(pool, scope_seconds=0.01)

    async with container.request_scope() as scope:
        await scope.get_service(pool)
        await container.close()
        assert notes[-2:] == ["closing Pool", "closed Pool"]

    assert [(record.message, vars(record)["requests"]) for record in caplog.records] == [
        ("services are closed while requests use them", 1)
    ]


async def hold(container: DependencyContainer, kind: type[Noted], leave: asyncio.Event) -> RequestScope:
    async with container.request_scope() as scope:
        await scope.get_service(kind)
        await leave.wait()
        return scope


async def test_a_thousand_scopes_at_once_leave_nothing_open(notes: Notes) -> None:
    session = noted(notes, "Session")
    container, leave = scoped(session), asyncio.Event()
    runs = [asyncio.ensure_future(hold(container, session, leave)) for _ in range(1000)]
    await until(lambda: notes.count("open Session") == 1000)
    leave.set()
    await asyncio.gather(*runs)

    assert notes.count("closed Session") == 1000


async def test_an_initialisation_that_takes_too_long_is_cut_off_in_a_scope_too(
    notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "GRACE_SECONDS", 0.01)
    a = noted(notes, "A", initialize=stubborn)
    container = DependencyContainer(initialize_seconds=0.01)
    container.register_scoped(a, a)

    async with asyncio.timeout(LONG), container.request_scope() as scope:
        with pytest.raises(ServiceStartError, match=r"^A -> A: its initialize\(\) took longer than 0.01 s$"):
            await scope.get_service(a)
