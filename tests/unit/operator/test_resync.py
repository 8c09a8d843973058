"""The resync against an API server in memory: what the watches missed is found."""

import asyncio
import random

import pytest

from mizzen_operator.cache import Cache
from mizzen_operator.cluster.errors import ForbiddenError
from mizzen_operator.intake import Intake
from mizzen_operator.keys import Key
from mizzen_operator.kinds import Kind
from mizzen_operator.records import agent_record
from mizzen_operator.resync import Resync
from mizzen_operator.workqueue import WorkQueue
from tests.unit.operator.builders import KEY, Object, container, raw_agent, raw_pod
from tests.unit.operator.fake_cluster import FakeCluster
from tests.unit.operator.queues import queue

REPORTED = {"observedGeneration": 1}


def resync(cluster: FakeCluster, cache: Cache, keys: WorkQueue[Key], *namespaces: str) -> Resync:
    return Resync(cluster, cache, keys, namespaces, random.Random(1))  # noqa: S311 - the same jitter in each run


def found(cluster: FakeCluster, cache: Cache) -> Key | None:
    """Give the agent that a resync queues."""
    keys = queue()
    asyncio.run(resync(cluster, cache, keys).once())
    return keys.take()


def test_a_delete_that_the_watch_missed_is_found() -> None:
    cluster, cache = FakeCluster(), Cache()
    cache.put(agent_record(raw_agent(status=REPORTED)))
    assert found(cluster, cache) == KEY
    assert cache.observe(KEY).agent is None


def test_a_cache_that_is_right_queues_nothing() -> None:
    cluster, cache = FakeCluster(), Cache()
    cache.put(agent_record(cluster.store(Kind.AGENT, raw_agent(status=REPORTED))))
    assert found(cluster, cache) is None


def test_an_agent_whose_status_speaks_of_an_earlier_spec_is_queued() -> None:
    cluster, cache = FakeCluster(), Cache()
    cache.put(agent_record(cluster.store(Kind.AGENT, raw_agent(status=REPORTED, generation=2))))
    assert found(cluster, cache) == KEY


def relabelled(pod: Object, **labels: str) -> Object:
    metadata = {**pod["metadata"], "labels": labels, "resourceVersion": "6"}
    return {**pod, "metadata": metadata}


def test_a_pod_whose_label_names_another_agent_leaves_the_first_and_both_are_queued() -> None:
    cache, keys = Cache(), queue()
    intake = Intake(cache, keys)
    pod = raw_pod("a", container())
    intake.seen(Kind.POD, pod)
    assert keys.take() == KEY
    keys.done(KEY)
    intake.seen(Kind.POD, relabelled(pod, **{"app.kubernetes.io/instance": "other"}))
    assert {keys.take(), keys.take()} == {KEY, Key(KEY.namespace, "other")}
    assert cache.observe(KEY).pods == ()


def test_a_pod_that_lost_its_label_leaves_its_agent() -> None:
    cache, keys = Cache(), queue()
    intake = Intake(cache, keys)
    pod = raw_pod("a", container())
    intake.seen(Kind.POD, pod)
    keys.done(keys.take() or KEY)
    intake.seen(Kind.POD, relabelled(pod))
    assert keys.take() == KEY
    assert cache.observe(KEY).pods == ()


def test_a_namespace_that_refuses_us_is_left_out_and_named(caplog: pytest.LogCaptureFixture) -> None:
    cluster, cache, keys = FakeCluster(), Cache(), queue()
    refused = raw_agent("there")
    refused["metadata"].update(namespace="refused", uid="there")
    cluster.store(Kind.AGENT, refused)
    cluster.store(Kind.AGENT, raw_agent())
    cluster.failures["list Pod/refused"] = ForbiddenError("pods is forbidden")
    filled = resync(cluster, cache, keys, "refused", "team")
    assert asyncio.run(filled.fill()) == 1
    assert filled.namespaces() == ("team",)
    assert cache.observe(Key("refused", "there")).agent is None
    assert "namespace refused is left out until it can be read: pods is forbidden" in caplog.text
    asyncio.run(filled.once())


def test_when_the_work_begins_every_agent_is_queued_whatever_was_done_before() -> None:
    cluster, cache, keys = FakeCluster(), Cache(), queue()
    cluster.store(Kind.AGENT, raw_agent(status=REPORTED))
    filled = resync(cluster, cache, keys)
    assert asyncio.run(filled.fill()) == 1
    keys = queue()
    assert resync(cluster, cache, keys).queue_all() == 1
    assert keys.take() == KEY


def test_where_all_namespaces_refuse_us_nothing_can_be_done() -> None:
    cluster = FakeCluster()
    cluster.failures |= {f"list Pod/{name}": ForbiddenError(f"pods in {name}") for name in ("a", "b")}
    with pytest.raises(ForbiddenError, match="pods in a"):
        asyncio.run(resync(cluster, Cache(), queue(), "a", "b").fill())


def test_a_namespace_that_was_left_out_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mizzen_operator.resync.REFUSED_SECONDS", 0.001)
    cluster = FakeCluster()
    cluster.failures["list Pod/refused"] = ForbiddenError("pods is forbidden")
    filled = resync(cluster, Cache(), queue(), "refused", "team")

    async def readable_again() -> str | None:
        await filled.fill()
        cluster.before["list Pod/refused"] = cluster.failures.clear
        async with asyncio.timeout(10):
            return await filled.readable_again()

    assert asyncio.run(readable_again()) == "refused"


def test_a_namespace_that_another_list_of_everything_finds_readable_is_still_told_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mizzen_operator.resync.REFUSED_SECONDS", 0.001)
    cluster = FakeCluster()
    cluster.failures["list Pod/refused"] = ForbiddenError("pods is forbidden")
    filled = resync(cluster, Cache(), queue(), "refused", "team")

    async def readable_again() -> str | None:
        await filled.fill()
        waiting = asyncio.create_task(filled.readable_again())
        await asyncio.sleep(0)
        cluster.failures.clear()
        await filled.fill()
        return await asyncio.wait_for(waiting, 10)

    assert asyncio.run(readable_again()) == "refused"


def test_a_resync_that_fails_unexpectedly_is_followed_by_the_next(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("mizzen_operator.resync.PERIOD_SECONDS", 0.001)
    cluster, cache, keys = FakeCluster(), Cache(), queue()

    def breaks() -> None:
        cluster.store(Kind.AGENT, raw_agent(status=REPORTED))  # agents were listed before pods: the next one finds it
        raise KeyError("metadata")

    cluster.before["list Pod/"] = breaks

    async def followed() -> Key | None:
        task = asyncio.create_task(resync(cluster, cache, keys).run())
        async with asyncio.timeout(10):
            key = await keys.get()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return key

    assert asyncio.run(followed()) == KEY
    assert "resync failed unexpectedly" in caplog.text
