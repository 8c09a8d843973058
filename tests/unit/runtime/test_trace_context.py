import asyncio

import pytest
from opentelemetry.context import attach, detach
from opentelemetry.trace import get_current_span

from mizzen_runtime.trace_context import callers_context, new_trace_id, onward_headers, trace_id_of

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
WELL_FORMED = f"00-{TRACE}-{SPAN}-01"


def headers_of(*parents: str, state: str | None = None) -> list[tuple[bytes, bytes]]:
    states = [(b"tracestate", state.encode())] if state is not None else []
    return [(b"host", b"agent"), *((b"traceparent", parent.encode()) for parent in parents), *states]


def test_a_callers_trace_goes_on_to_what_is_called() -> None:
    context = callers_context(headers_of(WELL_FORMED, state="vendor=1"))

    assert context is not None
    assert trace_id_of(context) == TRACE
    token = attach(context)
    try:
        assert onward_headers() == {"traceparent": WELL_FORMED, "tracestate": "vendor=1"}
    finally:
        detach(token)


@pytest.mark.parametrize(
    "parent",
    [
        WELL_FORMED.replace("00-", "cc-", 1),
        f"{WELL_FORMED.replace('00-', 'cc-', 1)}-what-a-later-version-adds",
    ],
    ids=["later version", "later version with more"],
)
def test_a_later_version_of_the_header_is_read_as_far_as_it_is_known(parent: str) -> None:
    context = callers_context(headers_of(parent))

    assert context is not None
    assert trace_id_of(context) == TRACE


@pytest.mark.parametrize(
    "parents",
    [
        [],
        [""],
        ["nonsense"],
        [WELL_FORMED.upper()],
        [WELL_FORMED[:-1]],
        [f"{WELL_FORMED}-more"],
        [WELL_FORMED.replace("00-", "ff-", 1)],
        [WELL_FORMED.replace(TRACE, "0" * 32)],
        [WELL_FORMED.replace(SPAN, "0" * 16)],
        [WELL_FORMED.replace(TRACE, TRACE[1:])],
        [WELL_FORMED.replace("4bf", "4bg")],
        [f"cc-{TRACE}-{SPAN}-01-{'x' * 600}"],
        [WELL_FORMED, WELL_FORMED],
        ["\x80-\xff"],
    ],
    ids=lambda parents: f"{len(parents)} headers: {','.join(parents)[:60]!a}",
)
def test_what_is_not_well_formed_is_dropped_with_its_state(parents: list[str]) -> None:
    assert callers_context(headers_of(*parents, state="vendor=1")) is None


def test_a_state_without_a_trace_is_nothing() -> None:
    assert callers_context(headers_of(state="vendor=1")) is None


def test_nobody_is_told_of_a_trace_that_nobody_records() -> None:
    assert not get_current_span().get_span_context().is_valid
    assert onward_headers() == {}


def test_a_new_trace_has_an_id_as_any_other() -> None:
    made = {new_trace_id() for _ in range(100)}

    assert len(made) == 100
    assert all(callers_context(headers_of(f"00-{trace}-{SPAN}-00")) is not None for trace in made)


def test_each_task_has_the_trace_of_its_own_request() -> None:
    async def ask(parent: str) -> dict[str, str]:
        context = callers_context(headers_of(parent))
        assert context is not None
        attach(context)
        await asyncio.sleep(0)
        return onward_headers()

    async def ask_both() -> list[dict[str, str]]:
        other = WELL_FORMED.replace(TRACE, "a" * 32)
        return list(await asyncio.gather(ask(WELL_FORMED), ask(other)))

    first, second = asyncio.run(ask_both())

    assert first["traceparent"].split("-")[1] == TRACE
    assert second["traceparent"].split("-")[1] == "a" * 32
