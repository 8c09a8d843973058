"""Parts that need a handful of sentences each: events, health, settings, logs, reading resources."""

import asyncio
import dataclasses
import io
import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mizzen_api.agentdeployment import AgentDeploymentStatus
from mizzen_api.conditions import Condition
from mizzen_operator.cluster.errors import UnavailableError
from mizzen_operator.desired import InvalidSpecError
from mizzen_operator.health import WATCH_SECONDS, Health, WatchMonitor
from mizzen_operator.keys import Key
from mizzen_operator.kinds import WATCHED
from mizzen_operator.logs import configure_logging
from mizzen_operator.records import AgentRecord, agent_record
from mizzen_operator.resource import parse_agent, stored_resource
from mizzen_operator.settings import Settings, parse_settings
from mizzen_operator.status.events import QUIET_SECONDS, SHARE, SHARE_SECONDS, EventRecorder, Happening, happenings
from tests.unit.operator.builders import raw_agent

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
HAPPENING = Happening("Warning", "ImageUnavailable", "Reconcile", "not found")


class EventSink:
    """Takes events where a cluster would; all else is not asked of it."""

    def __init__(self, *, works: bool = True) -> None:
        self.works = works
        self.events: list[Mapping[str, Any]] = []

    async def create_event(self, namespace: str, event: Mapping[str, Any]) -> None:
        if not self.works:
            raise UnavailableError("no answer")
        assert namespace == "team"
        self.events.append(event)

    async def _not_asked(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("an event recorder only creates events")

    get = apply = delete = patch_status = scale = events_about = _not_asked

    def pages(self, *_: Any) -> Any:
        raise AssertionError("an event recorder only creates events")


def record(**spec: Any) -> AgentRecord:
    return agent_record(raw_agent(**spec))


def tell(sink: EventSink, *times: float, happening: Happening = HAPPENING) -> None:
    clock = iter(times)
    recorder = EventRecorder(sink, lambda: next(clock), lambda: NOW, "pod-1")

    async def all_of_them() -> None:
        for _ in times:
            await recorder.tell(record(), happening)

    asyncio.run(all_of_them())


def test_an_event_is_about_the_resource() -> None:
    sink = EventSink()
    tell(sink, 0)
    (event,) = sink.events
    assert event["regarding"]["kind"] == "AgentDeployment"
    assert event["regarding"]["uid"] == record().uid
    assert (event["type"], event["reason"], event["note"]) == ("Warning", "ImageUnavailable", "not found")
    assert event["eventTime"] == "2026-01-01T12:00:00.000000Z"


def test_the_same_words_are_not_repeated_within_an_hour() -> None:
    sink = EventSink()
    tell(sink, 0, 1, QUIET_SECONDS - 1)
    assert len(sink.events) == 1
    tell(sink, 0, QUIET_SECONDS + 1)
    assert len(sink.events) == 3


def test_the_last_event_tells_what_is_the_case_now() -> None:
    sink = EventSink()
    good, bad = Happening("Normal", "Ready", "Reconcile", "fine"), HAPPENING
    recorder = EventRecorder(sink, lambda: 0.0, lambda: NOW, "pod-1")

    async def good_bad_good() -> None:
        for happening in (good, bad, good):
            await recorder.tell(record(), happening)

    asyncio.run(good_bad_good())
    assert [event["note"] for event in sink.events] == ["fine", "not found", "fine"]


def test_an_agent_that_changes_all_the_time_gets_its_share_of_events_and_no_more() -> None:
    sink, clock = EventSink(), [0.0]
    recorder = EventRecorder(sink, lambda: clock[0], lambda: NOW, "pod-1")

    async def tell_all(count: int) -> None:
        for number in range(count):
            await recorder.tell(record(), dataclasses.replace(HAPPENING, note=f"{clock[0]} {number}"))

    asyncio.run(tell_all(2 * SHARE))
    assert len(sink.events) == SHARE
    clock[0] = 2 * SHARE_SECONDS
    asyncio.run(tell_all(2 * SHARE))
    assert len(sink.events) == SHARE + 2


def test_a_note_is_cut_to_what_the_api_server_takes() -> None:
    sink = EventSink()
    tell(sink, 0, happening=Happening("Normal", "Ready", "Reconcile", "x" * 5000))
    assert len(sink.events[0]["note"]) == 1024


def test_an_event_that_cannot_be_made_is_logged_and_forgotten(caplog: pytest.LogCaptureFixture) -> None:
    tell(EventSink(works=False), 0)
    assert "an event about team/hello could not be made: no answer" in caplog.text


def ready(status: str, reason: str, message: str = "why") -> AgentDeploymentStatus:
    condition = Condition.model_validate(
        {
            "type": "Ready",
            "status": status,
            "reason": reason,
            "message": message,
            "observedGeneration": 1,
            "lastTransitionTime": "2026-01-01T12:00:00Z",
        }
    )
    return AgentDeploymentStatus(conditions=(condition,))


@pytest.mark.parametrize(
    ("before", "after", "types"),
    [
        (AgentDeploymentStatus(), ready("False", "RollingOut"), ["Normal"]),
        (ready("False", "RollingOut"), ready("False", "PodFailing"), ["Warning"]),
        (ready("False", "PodFailing"), ready("False", "PodFailing"), []),
        (ready("False", "PodFailing", "no disk"), ready("False", "PodFailing", "no module"), ["Warning"]),
        (ready("False", "PodFailing"), ready("True", "Ready"), ["Normal"]),
    ],
)
def test_what_ready_says_anew_is_an_event(
    before: AgentDeploymentStatus, after: AgentDeploymentStatus, types: list[str]
) -> None:
    assert [happening.type for happening in happenings(before, after)] == types


def test_a_revision_that_begins_to_roll_is_an_event() -> None:
    before, after = AgentDeploymentStatus(stable_revision="a"), AgentDeploymentStatus(candidate_revision="b")
    assert [happening.note for happening in happenings(before, after)] == ["Revision b is being rolled out."]
    assert happenings(after, after) == ()


class Life:
    """Workers that are alive or not."""

    def __init__(self) -> None:
        self.alive = True

    def are_alive(self) -> bool:
        return self.alive


def test_health_tells_each_thing_that_is_wrong() -> None:
    now, workers, watching, resyncing = [0.0], Life(), [True], [True]
    watches = WatchMonitor(lambda: now[0], WATCHED)
    health = Health(workers, watches, lambda: watching[0], lambda: resyncing[0])
    health.started()
    watches.requested("/api/v1/pods")
    watches.requested("/apis/apps/v1")  # discovery, asked once
    assert health.problems() == []
    now[0] = WATCH_SECONDS + 1
    assert health.problems() == ["no watch of /api/v1/pods for 600 s"]
    workers.alive, watching[0], resyncing[0] = False, False, False
    assert health.problems()[:3] == [
        "the watches have ended",
        "a worker has ended or is stuck",
        "the resync has ended",
    ]


def test_an_operator_that_waits_for_the_crd_is_healthy() -> None:
    workers = Life()
    workers.alive = False
    assert Health(workers, WatchMonitor(lambda: 0.0, WATCHED), lambda: False, lambda: False).problems() == []


def test_the_command_line_is_read() -> None:
    given = ["--runtime-image", "r:1", "--namespace", "a", "--namespace", "b", "--namespace", "a", "--port", "9"]
    given += ["--max-concurrent-runtime-updates", "3", "--lease", "system/operator", "--lease-duration", "30"]
    assert parse_settings([*given, "--log-level", "debug", "--kubeconfig", "k"]) == Settings(
        runtime_image="r:1",
        max_concurrent_runtime_updates=3,
        namespaces=("a", "b"),
        port=9,
        log_level="debug",
        kubeconfig=Path("k"),
        lease=Key("system", "operator"),
        lease_seconds=30,
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--lease", "operator"], "'operator' names no Lease; give one such as mizzen-system/mizzen-operator"),
        (["--lease", "a/b/c"], "'a/b/c' names no Lease"),
        (["--lease", "a/b", "--lease-duration", "2"], "'2' is no number of whole seconds from 3 on"),
        (["--lease", "a/b", "--lease-duration", "15s"], "'15s' is no number of whole seconds"),
        (["--lease-duration", "15"], "--lease-duration says nothing without --lease NAMESPACE/NAME"),
    ],
)
def test_a_lease_that_cannot_be_one_is_refused(given: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_settings(["--runtime-image", "r:1", *given])
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("given", [[], ["--runtime-image="], ["--runtime-image", "a b"]])
def test_an_operator_without_a_runtime_image_does_not_start(
    given: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parse_settings(given)
    assert "--runtime-image" in capsys.readouterr().err


def test_a_log_line_is_one_json_object_with_its_exception(capsys: pytest.CaptureFixture[str]) -> None:
    stream, root = io.StringIO(), logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        configure_logging("info", stream)
        logging.getLogger("x").error("it broke", exc_info=ValueError("boom"))
    finally:
        root.handlers[:] = before
        root.setLevel(level)
    (line,) = stream.getvalue().splitlines()
    parsed = json.loads(line)
    assert (parsed["level"], parsed["message"]) == ("error", "it broke")
    assert "ValueError: boom" in parsed["exception"]


def test_a_spec_that_passes_the_schema_is_still_read_strictly() -> None:
    with pytest.raises(InvalidSpecError) as caught:
        parse_agent(record(agent={"instructions": "x", "tempo": 1}))
    assert [str(problem) for problem in caught.value.problems] == [
        "spec.agent.tempo: unknown field; remove it, or correct its spelling"
    ]


def test_of_a_status_that_another_version_wrote_the_known_part_is_read() -> None:
    ours = ready("True", "Ready").model_dump(mode="json")
    (condition,) = ours["conditions"]
    theirs = [{**condition, "since": 1}, {**condition, "type": "FromTheFuture"}, {"type": "Available"}]
    status = {"fromTheFuture": 1, "stableRevision": "a", "conditions": theirs}
    stored = stored_resource(record(status=status, generation=3, replicas=4))
    assert stored.status == ready("True", "Ready").model_copy(update={"stable_revision": "a"})
    assert (stored.generation, stored.replicas) == (3, 4)


def test_a_status_that_cannot_be_read_is_written_anew() -> None:
    stored = stored_resource(record(status={"replicas": "many"}, generation=3, replicas=4))
    assert stored.status == AgentDeploymentStatus()
