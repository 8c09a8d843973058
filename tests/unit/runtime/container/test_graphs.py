"""Any graph of services opens in an order that its edges allow, closes in the reverse, and each service once."""

import asyncio
from collections.abc import Iterable
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from mizzen_runtime.container import DependencyContainer, Scope, StartFailedError
from tests.unit.runtime.container.doubles import Noted, Notes, noted

Edges = list[set[int]]
"""For each service the earlier ones that it needs."""


@st.composite
def graphs(draw: st.DrawFn) -> Edges:
    size = draw(st.integers(1, 10))
    return [draw(st.sets(st.integers(0, number - 1))) if number else set() for number in range(size)]


def classes(notes: Notes, edges: Edges, rests: Random, failing: Iterable[int] = ()) -> list[type[Noted]]:
    """Make a class for each service, which rests at random moments."""

    async def rest() -> None:
        for _ in range(rests.randrange(4)):
            await asyncio.sleep(0)

    async def fail() -> None:
        await rest()
        raise OSError

    found: list[type[Noted]] = []
    for number, needs in enumerate(edges):
        initialize = fail if number in failing else rest
        needed = [found[each] for each in sorted(needs)]
        found.append(noted(notes, f"S{number}", *needed, initialize=initialize, close=rest))
    return found


def container_of(kinds: list[type[Noted]], scope: Scope, order: Random) -> DependencyContainer:
    container = DependencyContainer()
    for kind in order.sample(kinds, len(kinds)):
        container.register_factory(kind, kind, scope=scope)
    return container


def places(notes: Notes, what: str) -> dict[int, int]:
    """Give when each service did something."""
    found = [(note.removeprefix(f"{what} S"), place) for place, note in enumerate(notes)]
    return {int(number): place for number, place in found if number.isdigit()}


def assert_order(notes: Notes, edges: Edges) -> None:
    """Check every edge; `Noted` itself sees to it that nothing is closed twice, or used while it is not open."""
    opening, opened, closing, closed = (places(notes, what) for what in ("opening", "open", "closing", "closed"))
    assert set(opening) == set(opened) == set(closing) == set(closed) == set(range(len(edges)))
    assert len(notes) == 4 * len(edges)
    for number, needs in enumerate(edges):
        for needed in needs:
            assert opened[needed] < opening[number]
            assert closed[number] < closing[needed]


@given(graphs(), st.integers(0, 2**32))
def test_singletons_open_along_their_needs_and_close_in_the_exact_reverse(edges: Edges, seed: int) -> None:
    notes: Notes = []
    random = Random(seed)  # noqa: S311 - for the order of things

    async def scenario() -> None:
        container = container_of(classes(notes, edges, random), Scope.SINGLETON, random)
        await container.start()
        await container.close()

    asyncio.run(scenario())
    assert_order(notes, edges)
    opened, closed = places(notes, "open"), places(notes, "closed")
    assert sorted(opened, key=opened.__getitem__) == sorted(closed, key=closed.__getitem__, reverse=True)


@given(graphs(), st.integers(0, 2**32))
def test_whoever_asks_first_for_whatever_each_is_made_once(edges: Edges, seed: int) -> None:
    notes: Notes = []
    random = Random(seed)  # noqa: S311 - for the order of things

    async def scenario() -> None:
        kinds = classes(notes, edges, random)
        container = container_of(kinds, Scope.SINGLETON, random)
        asked = [*kinds, *random.choices(kinds, k=20)]
        random.shuffle(asked)
        found = await asyncio.gather(*(container.get_service(kind) for kind in asked))
        assert len({id(each) for each in found}) == len(kinds)
        await container.close()

    asyncio.run(scenario())
    assert_order(notes, edges)


@given(graphs(), st.integers(0, 2**32))
def test_a_request_scope_keeps_the_same_order(edges: Edges, seed: int) -> None:
    notes: Notes = []
    random = Random(seed)  # noqa: S311 - for the order of things

    async def scenario() -> None:
        kinds = classes(notes, edges, random)
        container = container_of(kinds, Scope.REQUEST, random)
        asked = [*kinds, *random.choices(kinds, k=20)]
        random.shuffle(asked)
        async with container.request_scope() as scope:
            found = await asyncio.gather(*(scope.get_service(kind) for kind in asked))
            assert len({id(each) for each in found}) == len(kinds)

    asyncio.run(scenario())
    assert_order(notes, edges)


@given(graphs(), st.integers(0, 2**32), st.data())
def test_whatever_fails_all_that_was_open_is_closed(edges: Edges, seed: int, data: st.DataObject) -> None:
    notes: Notes = []
    random = Random(seed)  # noqa: S311 - for the order of things
    failing = data.draw(st.sets(st.integers(0, len(edges) - 1), min_size=1))

    async def scenario() -> StartFailedError | None:
        container = container_of(classes(notes, edges, random, failing), Scope.SINGLETON, random)
        try:
            await container.start()
        except StartFailedError as error:
            return error
        return None

    error = asyncio.run(scenario())
    blocked: set[int] = set()
    for number, needs in enumerate(edges):
        if number in failing or needs & blocked:
            blocked.add(number)
    causes = {number for number in failing if not edges[number] & blocked}
    assert error is not None
    assert {failure.path[-1] for failure in error.failures} == {f"S{number}" for number in causes}
    assert set(places(notes, "opening")) == set(places(notes, "closed"))
    assert set(places(notes, "open")) == set(range(len(edges))) - blocked


@given(graphs(), st.integers(0, 2**32), st.data())
def test_a_swap_builds_what_changed_and_all_that_needs_it_and_nothing_else(
    edges: Edges, seed: int, data: st.DataObject
) -> None:
    notes: Notes = []
    random = Random(seed)  # noqa: S311 - for the order of things
    changed = data.draw(st.sets(st.integers(0, len(edges) - 1)))
    affected: set[int] = set()
    for number, needs in enumerate(edges):
        if number in changed or needs & affected:
            affected.add(number)

    async def scenario() -> None:
        kinds = classes(notes, edges, random)
        container = DependencyContainer()
        for number, kind in enumerate(kinds):
            container.register_singleton(kind, kind, name=str(number))
        await container.start()
        notes.clear()
        draft = container.draft()
        for number in changed:
            draft.remove(str(number))
            draft.register_singleton(kinds[number], kinds[number], name=str(number))
        async with container.request_scope() as scope:
            before = [await scope.get_service(kind) for kind in kinds]
            await container.reload(draft)
            after = [await container.get_service(kind) for kind in kinds]
            assert {number for number in range(len(kinds)) if before[number] is not after[number]} == affected
            assert all(each.work() for each in [*before, *after])
            assert set(places(notes, "opening")) == affected
            assert not places(notes, "closing")
        await container.close()

    asyncio.run(scenario())
    for number in range(len(edges)):
        assert notes.count(f"closed S{number}") == (2 if number in affected else 1)
