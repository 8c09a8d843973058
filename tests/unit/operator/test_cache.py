from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mizzen_operator.cache import Cache
from mizzen_operator.keys import Key
from mizzen_operator.kinds import Kind
from mizzen_operator.records import PodRecord, Record, record_of
from tests.unit.operator.builders import KEY, container, pod, raw_agent


def pod_at(version: int, *, uid: str = "a", name: str = "a") -> PodRecord:
    return replace(pod(f"revision-{version}", container(), name=name), version=version, uid=uid)


def test_what_is_put_is_observed() -> None:
    cache = Cache()
    agent = record_of(Kind.AGENT, raw_agent())
    assert agent is not None
    assert cache.put(agent)
    assert cache.put(pod_at(1))
    observed = cache.observe(KEY)
    assert observed.agent == agent
    assert observed.pods == (pod_at(1),)


@given(st.permutations([1, 2, 3, 4]))
def test_the_newest_version_wins_in_whatever_order_they_come(versions: list[int]) -> None:
    cache = Cache()
    for version in versions:
        cache.put(pod_at(version))
    assert cache.observe(KEY).pods == (pod_at(4),)


def test_an_echo_says_nothing_new() -> None:
    cache = Cache()
    assert cache.put(pod_at(1))
    assert not cache.put(pod_at(1))


def test_a_version_that_changes_nothing_of_interest_says_nothing_new() -> None:
    cache = Cache()
    cache.put(pod_at(1))
    same = replace(pod_at(1), version=2)
    assert not cache.put(same)
    assert cache.observe(KEY).pods == (same,)


def test_an_object_that_took_the_place_of_another_is_news_whatever_its_version() -> None:
    cache = Cache()
    cache.put(pod_at(9, uid="first"))
    assert cache.put(pod_at(1, uid="second"))


def test_the_late_news_of_a_deletion_does_not_remove_the_successor() -> None:
    cache = Cache()
    cache.put(pod_at(2, uid="second"))
    assert not cache.remove("first", 3)
    assert cache.observe(KEY).pods == (pod_at(2, uid="second"),)


def test_a_complete_list_removes_what_it_does_not_show() -> None:
    cache = Cache()
    cache.put(pod_at(1, uid="a", name="a"))
    cache.put(pod_at(2, uid="b", name="b"))
    assert cache.retain(Kind.POD, None, {"b"}, version=5) == {KEY}
    assert [record.name for record in cache.observe(KEY).pods] == ["b"]


def test_what_is_newer_than_the_list_stays() -> None:
    cache = Cache()
    cache.put(pod_at(7))
    assert cache.retain(Kind.POD, None, set(), version=5) == frozenset()


def test_a_list_of_one_namespace_says_nothing_about_another() -> None:
    cache = Cache()
    cache.put(pod_at(1))
    assert cache.retain(Kind.POD, "elsewhere", set(), version=5) == frozenset()
    assert cache.records(Kind.POD, KEY.namespace) == [pod_at(1)]


def test_what_is_deleted_while_a_list_is_read_stays_deleted() -> None:
    cache = Cache()
    cache.put(pod_at(1))
    with cache.reading():
        cache.remove("a", 1)
        assert not cache.put(pod_at(1))
    assert cache.observe(KEY).pods == ()


def test_what_comes_back_while_a_list_is_read_is_news() -> None:
    cache = Cache()
    cache.put(pod_at(1))
    with cache.reading():
        cache.remove("a", 2)
        assert cache.put(pod_at(3)) == {KEY}
    assert cache.observe(KEY).pods == (pod_at(3),)


def test_an_object_that_goes_to_another_agent_is_news_for_both_and_leaves_the_first() -> None:
    cache, other = Cache(), Key(KEY.namespace, "other")
    cache.put(pod_at(1))
    assert cache.put(replace(pod_at(2), key=other)) == {KEY, other}
    assert cache.observe(KEY).pods == ()
    assert len(cache.observe(other).pods) == 1
    assert cache.remove("a", 3) == {other}


def test_an_object_that_is_forgotten_is_news_when_it_is_read_again() -> None:
    cache = Cache()
    cache.put(pod_at(1))
    with cache.reading():
        cache.forget(pod_at(1))
        assert cache.put(pod_at(1)) == {KEY}


def test_a_cache_without_records_of_an_agent_holds_nothing_for_it() -> None:
    cache = Cache()
    cache.put(pod_at(1))
    cache.remove("a", 1)
    assert cache.observe(KEY).pods == ()
    assert cache.records(Kind.POD, None) == []


@pytest.mark.parametrize("kind", [Kind.POD, Kind.SERVICE])
def test_an_object_of_no_agent_is_not_remembered(kind: Kind) -> None:
    raw = {"metadata": {"name": "x", "namespace": "team", "uid": "x", "resourceVersion": "1"}}
    record: Record | None = record_of(kind, raw)
    assert record is None
