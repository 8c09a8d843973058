"""The cache in Redis: its prefix, its errors, and what it does while the server is gone."""

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mizzen_runtime.implementations.cache_entries import ForeignValueError, ValueTooLargeError
from mizzen_runtime.implementations.glob import InvalidPatternError
from mizzen_runtime.implementations.memory import MemoryCacheService
from mizzen_runtime.implementations.redis import RedisCacheService
from mizzen_runtime.implementations.redis_faults import CacheFullError, CacheRefusedError
from mizzen_runtime.implementations.redis_settings import RedisSettings
from mizzen_runtime.services import ServiceError, ServiceUnavailableError
from tests.conftest import FULL_SIZE
from tests.support.redis import RedisServer, free_port
from tests.support.waiting import wait_for

pytestmark = pytest.mark.anyio

SLACK = 3.0
"""Seconds that a call may take longer than its deadline on a busy machine."""


@asynccontextmanager
async def cache_at(server: RedisServer, **settings: Any) -> AsyncIterator[RedisCacheService]:
    """An initialised cache, which leaves no connection behind."""
    cache = RedisCacheService("127.0.0.1", server.port, **settings)
    await cache.initialize()
    try:
        yield cache
    finally:
        await cache.close()
    server.wait_for_clients(0)


async def fault_of(call: Awaitable[object]) -> ServiceError | None:
    """Give the error of a call; None if there was none."""
    try:
        await call
    except ServiceError as error:
        return error
    return None


async def test_nothing_outside_the_prefix_is_read_written_or_removed(redis_server: RedisServer) -> None:
    others = ["other:key", "a*b:key", "axb:key", "a", "key", "a*"]
    for name in others:
        redis_server.lines("SET", name, '"theirs"')
    async with cache_at(redis_server, prefix="a*:") as cache:
        await cache.set("key", "ours")

        assert await cache.get("b:key") is None
        assert redis_server.lines("GET", "a*:key")[1] == '"ours"'
        assert await cache.invalidate("*") == 1

    assert sorted(line for line in redis_server.lines("KEYS", "*") if line[0] not in "*$") == sorted(others)


@given(
    st.lists(st.text("ab[]^-*?\\é", min_size=1, max_size=5), min_size=1, max_size=8, unique=True),
    st.text("ab[]^-*?\\é", max_size=6),
)
@hypothesis.settings(suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
async def test_a_pattern_is_about_the_same_keys_as_in_memory(
    redis_server: RedisServer, keys: list[str], pattern: str
) -> None:
    memory = MemoryCacheService()
    async with cache_at(redis_server) as cache:
        outcomes = []
        for each in (memory, cache):
            for key in keys:
                await each.set(key, 1)
            try:
                count = await each.invalidate(pattern)
            except InvalidPatternError:
                count = -1
            outcomes.append((count, [key for key in keys if await each.get(key)]))
            await each.invalidate("*")
        assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("prefix", ["[a]", "?", "\\", "grün:", "a\\*"])
async def test_any_prefix_is_taken_literally(redis_server: RedisServer, prefix: str) -> None:
    redis_server.lines("MSET", "a:key", "1", "x", "1", "*", "1")
    async with cache_at(redis_server, prefix=prefix) as cache:
        await cache.set("key", "ours")

        assert await cache.get("key") == "ours"
        assert await cache.invalidate("k*") == 1
        assert redis_server.lines("DBSIZE") == [":3"]


async def test_the_server_itself_ends_an_entry(redis_server: RedisServer) -> None:
    async with cache_at(redis_server) as cache:
        await cache.set("key", "value", ttl=77)

        assert redis_server.lines("TTL", "mizzen:key") in ([":77"], [":76"])


@pytest.mark.parametrize("foreign", ["no json", "{", "\x00", "NaN1"])
async def test_a_value_that_is_no_json_is_an_error_until_it_is_replaced(
    redis_server: RedisServer, foreign: str
) -> None:
    redis_server.lines("SET", "mizzen:key", foreign)
    async with cache_at(redis_server) as cache:
        with pytest.raises(ForeignValueError, match="no JSON: something else writes under the prefix"):
            await cache.get("key")

        await cache.set("key", "ours")
        assert await cache.get("key") == "ours"


async def test_a_value_of_another_kind_is_an_error_until_it_is_replaced(redis_server: RedisServer) -> None:
    redis_server.lines("RPUSH", "mizzen:key", "1")
    async with cache_at(redis_server) as cache:
        with pytest.raises(ForeignValueError, match="no string"):
            await cache.get("key")

        await cache.set("key", "ours")
        assert await cache.get("key") == "ours"


async def test_a_foreign_value_that_is_too_large_is_not_even_fetched(redis_server: RedisServer) -> None:
    async with cache_at(redis_server, max_value_bytes=1000) as cache:
        redis_server.lines("SET", "mizzen:key", "1" * 10_000_000)
        redis_server.lines("CONFIG", "RESETSTAT")

        with pytest.raises(ForeignValueError, match="more bytes than max_value_bytes allows, 1000"):
            await cache.get("key")

        sent = next(line for line in redis_server.lines("INFO", "stats") if line.startswith("total_net_output_bytes"))
        assert int(sent.split(":")[1]) < 100_000


async def test_a_key_that_is_no_unicode_goes_with_the_others(redis_server: RedisServer) -> None:
    redis_server.lines("EVAL", "return redis.call('SET', 'mizzen:\\255', '1')", "0")
    async with cache_at(redis_server) as cache:
        assert await cache.invalidate("?") == 1


async def test_a_value_that_is_too_large_is_refused(redis_server: RedisServer) -> None:
    async with cache_at(redis_server, max_value_bytes=10) as cache:
        await cache.set("key", "12345678")

        with pytest.raises(ValueTooLargeError, match="11 bytes as JSON, and max_value_bytes allows 10"):
            await cache.set("key", "123456789")


async def test_a_full_server_says_so_and_one_that_evicts_just_forgets(own_redis: RedisServer) -> None:
    own_redis.lines("CONFIG", "SET", "maxmemory", "2mb")
    async with cache_at(own_redis, pool_size=1) as cache:
        full = [await fault_of(cache.set(f"key:{index}", "x" * 100_000)) for index in range(50)]
        assert isinstance(full[-1], CacheFullError)
        assert "no memory left; raise maxmemory, or let it evict" in str(full[-1])

        own_redis.lines("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        for index in range(100):
            await cache.set(f"key:{index}", index)
            await cache.set(f"large:{index}", "x" * 100_000)

        found = [await cache.get(f"key:{index}") for index in range(100)]
        assert all(value in {None, index} for index, value in enumerate(found))
        assert None in [await cache.get(f"large:{index}") for index in range(100)]


async def test_a_replica_is_refused_for_writing(own_redis: RedisServer) -> None:
    async with cache_at(own_redis) as cache:
        await cache.set("key", "value")
        own_redis.lines("REPLICAOF", "127.0.0.1", free_port())

        assert await cache.get("key") == "value"
        with pytest.raises(ServiceError, match="is a replica, which cannot be written to; name the primary"):
            await cache.set("key", "value")
        with pytest.raises(ServiceError, match="is a replica"):
            await cache.invalidate("*")


async def test_a_replica_that_has_lost_its_primary_may_come_back(own_redis: RedisServer) -> None:
    async with cache_at(own_redis) as cache:
        own_redis.lines("CONFIG", "SET", "replica-serve-stale-data", "no")
        own_redis.lines("REPLICAOF", "127.0.0.1", free_port())

        with pytest.raises(ServiceUnavailableError, match="is a replica without its primary"):
            await cache.get("key")


async def test_a_part_of_a_cluster_is_refused(tmp_path: Path) -> None:
    server = RedisServer(tmp_path, "--cluster-enabled", "yes", "--cluster-port", str(free_port()))
    try:
        async with cache_at(server) as cache:
            with pytest.raises(ServiceError, match="is part of a Redis Cluster, which is not supported; name a single"):
                await cache.get("key")
            server.lines("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            wait_for(lambda: "cluster_state:ok" in server.lines("CLUSTER", "INFO"), "a cluster of one", interval=0.1)
            await cache.set("key", "value")
    finally:
        server.close()


async def test_what_the_server_refuses_otherwise_is_told_by_its_code_alone(own_redis: RedisServer) -> None:
    own_redis.lines("CONFIG", "SET", "min-replicas-to-write", "1")
    async with cache_at(own_redis) as cache:
        with pytest.raises(ServiceError, match=r"refuses the command \(NOREPLICAS\); its log may say why"):
            await cache.set("key", "value")


async def test_a_command_that_the_server_does_not_know_is_told_without_its_key(tmp_path: Path) -> None:
    server = RedisServer(tmp_path, "--rename-command", "GETRANGE", "")
    try:
        async with cache_at(server) as cache:
            with pytest.raises(ServiceError, match="refuses the command; its log may say why") as refused:
                await cache.get("private")
            assert "private" not in str(refused.value)
    finally:
        server.close()


@pytest.fixture
def acl_redis(own_redis: RedisServer) -> RedisServer:
    """A server with a user that may do what the module's docstring says, and nothing else."""
    rights = ["~mizzen:*", "+getrange", "+set", "+scan", "+unlink", "+ping", "+select"]
    assert own_redis.answer("ACL", "SETUSER", "agent", "on", ">s3cret", *rights) == "OK"
    return own_redis


@pytest.mark.parametrize("db", [0, 3])
async def test_an_acl_user_needs_these_rights_and_no_others(acl_redis: RedisServer, db: int) -> None:
    async with cache_at(acl_redis, username="agent", password="s3cret", db=db) as cache:
        await cache.set("key", "value")

        assert await cache.get("key") == "value"
        assert await cache.health_check()
        assert await cache.invalidate("*") == 1


async def test_what_a_user_may_not_do_is_told_with_the_rights_it_needs(acl_redis: RedisServer) -> None:
    async with cache_at(acl_redis, username="agent", password="s3cret", prefix="other:") as cache:
        with pytest.raises(CacheRefusedError, match=r"its ACL needs ~other:\* \+getrange \+set \+scan \+unlink \+ping"):
            await cache.get("key")


@pytest.mark.parametrize("user", [{"username": "agent"}, {"username": "nobody"}, {}])
async def test_a_wrong_password_is_told_and_not_tried_again(acl_redis: RedisServer, user: dict[str, Any]) -> None:
    acl_redis.lines("CONFIG", "SET", "requirepass", "another")
    cache = RedisCacheService("127.0.0.1", acl_redis.port, password="wr0ng-one", **user)

    with pytest.raises(CacheRefusedError, match="refuses the username or the password; correct them") as refused:
        await cache.initialize()

    assert "wr0ng-one" not in str(refused.value)
    assert not await cache.health_check()
    await cache.close()


async def test_a_password_that_is_missing_is_told(acl_redis: RedisServer) -> None:
    acl_redis.lines("CONFIG", "SET", "requirepass", "another")
    cache = RedisCacheService("127.0.0.1", acl_redis.port)

    with pytest.raises(CacheRefusedError, match="refuses the username or the password"):
        await cache.initialize()
    await cache.close()


async def test_a_name_that_is_unknown_is_told() -> None:
    cache = RedisCacheService("redis.invalid")

    with pytest.raises(ServiceUnavailableError, match=r"Redis at redis\.invalid:6379 cannot be reached: its name"):
        await cache.initialize()


async def test_a_server_that_is_not_there_is_told() -> None:
    cache = RedisCacheService("127.0.0.1", free_port())

    with pytest.raises(ServiceUnavailableError, match="cannot be reached: connection refused"):
        await cache.initialize()
    assert not await cache.health_check()


async def test_a_cache_must_be_initialised_and_is_closed_once_and_for_all(redis_server: RedisServer) -> None:
    cache = RedisCacheService("127.0.0.1", redis_server.port)
    with pytest.raises(ServiceError, match="not initialised; await initialize"):
        await cache.get("key")
    await cache.initialize()
    await cache.close()
    await cache.close()

    with pytest.raises(ServiceError, match="closed"):
        await cache.get("key")


@pytest.mark.parametrize("pool_size", [1, 10])
async def test_closing_waits_for_calls_that_run_or_wait(redis_server: RedisServer, pool_size: int) -> None:
    cache = RedisCacheService("127.0.0.1", redis_server.port, pool_size=pool_size, call_timeout_seconds=20)
    await cache.initialize()
    redis_server.lines("CLIENT", "PAUSE", "300", "WRITE")
    calls = [asyncio.create_task(cache.set(f"key:{index}", index)) for index in range(5)]
    await asyncio.sleep(0)  # so that they have begun

    await cache.close()

    assert all(call.done() and call.exception() is None for call in calls)
    redis_server.wait_for_clients(0)


async def test_more_calls_than_connections_wait_for_one(redis_server: RedisServer) -> None:
    async with cache_at(redis_server, pool_size=3) as cache:
        await asyncio.gather(*(cache.set(f"key:{index}", index) for index in range(200)))

        assert redis_server.clients() <= 3


async def test_calls_that_are_cancelled_leave_no_connection_and_no_answer_behind(redis_server: RedisServer) -> None:
    async with cache_at(redis_server, pool_size=3) as cache:
        for index in range(30):
            await cache.set(f"key:{index}", index)
        for pause in range(1, 60):
            calls = [asyncio.create_task(cache.get(f"key:{index}")) for index in range(30)]
            await asyncio.sleep(pause / 20_000)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)

        assert [await cache.get(f"key:{index}") for index in range(30)] == list(range(30))
        assert redis_server.clients() <= 3


def calls_of(cache: RedisCacheService) -> dict[str, Callable[[], Any]]:
    return {
        "get": lambda: cache.get("key"),
        "set": lambda: cache.set("key", "value"),
        "invalidate": lambda: cache.invalidate("*"),
    }


async def test_while_the_server_is_frozen_every_call_ends_at_its_deadline(own_redis: RedisServer) -> None:
    async with cache_at(own_redis, call_timeout_seconds=0.5, pool_size=2) as cache:
        await cache.set("key", "value")
        own_redis.freeze()
        for call in calls_of(cache).values():
            start = time.monotonic()
            with pytest.raises(ServiceUnavailableError, match=r"did not answer within 0\.5 s \(call_timeout_seconds\)"):
                await call()
            assert 0.4 < time.monotonic() - start < 0.5 + SLACK
        start = time.monotonic()
        many = await asyncio.gather(*(cache.get("key") for _ in range(50)), return_exceptions=True)
        assert all(isinstance(error, ServiceUnavailableError) for error in many)
        assert time.monotonic() - start < 0.5 + SLACK
        assert not await cache.health_check()
        own_redis.thaw()

        assert await cache.get("key") == "value"
        assert own_redis.clients() <= 2


async def test_a_frozen_server_does_not_keep_a_cache_from_closing(own_redis: RedisServer) -> None:
    async with cache_at(own_redis, call_timeout_seconds=0.5) as cache:
        own_redis.freeze()
        running = asyncio.create_task(cache.get("key"))
        await asyncio.sleep(0)
        start = time.monotonic()
        await cache.close()
        assert time.monotonic() - start < 0.5 + SLACK
        with pytest.raises(ServiceUnavailableError):
            await running
        own_redis.thaw()


async def test_invalidate_ends_at_its_own_deadline(own_redis: RedisServer) -> None:
    own_redis.lines("EVAL", "for i = 1, 20000 do redis.call('SET', 'mizzen:' .. i, '1') end", "0")
    async with cache_at(own_redis, invalidate_timeout_seconds=0.05, scan_batch=10) as cache:
        with pytest.raises(
            ServiceUnavailableError, match=r"longer than 0\.05 s \(invalidate_timeout_seconds\); some are gone"
        ):
            await cache.invalidate("*")


@pytest.mark.parametrize("end", [RedisServer.kill, RedisServer.stop])
async def test_a_server_that_ends_in_mid_traffic_is_found_again_within_ten_seconds(
    own_redis: RedisServer, end: Callable[[RedisServer], None]
) -> None:
    wrong: list[Any] = []
    failed: list[Exception] = []
    answered_at: list[float] = []
    stop = asyncio.Event()

    async def use(cache: RedisCacheService, name: str) -> None:
        count = 0
        while not stop.is_set():
            count += 1
            try:
                await cache.set(f"{name}:{count}", [name, count])
                if (found := await cache.get(f"{name}:{count}")) not in ([name, count], None):
                    wrong.append(found)
                answered_at.append(time.monotonic())
            except ServiceUnavailableError as error:
                failed.append(error)
            await asyncio.sleep(0.002)

    async with cache_at(own_redis, pool_size=5) as cache:
        users = [asyncio.create_task(use(cache, f"user{index}")) for index in range(20)]
        await until(lambda: len(answered_at) > 200)
        end(own_redis)
        await until(lambda: len(failed) > 20)
        own_redis.start()
        back = time.monotonic()
        await until(lambda: answered_at[-1] > back)
        assert answered_at[-1] - back < 10
        await until(lambda: len([moment for moment in answered_at if moment > back]) > 500)
        stop.set()
        await asyncio.gather(*users)

        assert not wrong
        assert own_redis.clients() <= 5


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - of what several tasks do
            await asyncio.sleep(0.01)


async def test_a_server_that_was_away_while_nobody_asked_is_no_error(own_redis: RedisServer) -> None:
    async with cache_at(own_redis) as cache:
        await cache.set("key", "value")
        own_redis.kill()
        own_redis.start()

        assert await cache.get("key") is None


async def test_removing_many_keys_holds_up_nobody(own_redis: RedisServer) -> None:
    """100,000 keys go while others read: what each of them waits for is one batch."""
    count = 100_000 if FULL_SIZE else 30_000
    own_redis.lines("EVAL", f"for i = 1, {count} do redis.call('SET', 'mizzen:a:' .. i, string.rep('x', 100)) end", "0")
    own_redis.lines("CONFIG", "RESETSTAT")
    own_redis.lines("CONFIG", "SET", "slowlog-log-slower-than", "0", "slowlog-max-len", "100000")
    async with cache_at(own_redis) as cache:
        await cache.set("b", "stays")
        removal = asyncio.create_task(cache.invalidate("a:*"))
        latencies = []
        while not removal.done():
            start = time.monotonic()
            assert await cache.get("b") == "stays"
            latencies.append(time.monotonic() - start)

        assert await removal == count
        assert len(latencies) > 100
        assert sorted(latencies)[len(latencies) // 2] < 0.1
    commands = own_redis.lines("INFO", "commandstats")
    assert any(line.startswith("cmdstat_scan") for line in commands)
    assert not any(line.startswith(("cmdstat_keys", "cmdstat_flush")) for line in commands)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for localhost, and one of somebody else."""
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("server", "other"):
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
                *("-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost"),
                *("-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.crt")),
            ],
            check=True,
            capture_output=True,
        )
    return folder


@pytest.fixture
def tls_redis(tmp_path: Path, certificates: Path) -> Iterator[RedisServer]:
    """A server that speaks TLS only."""
    port = free_port()
    files = ("--tls-cert-file", str(certificates / "server.crt"), "--tls-key-file", str(certificates / "server.key"))
    server = RedisServer(
        tmp_path, "--port", "0", "--tls-port", str(port), *files, "--tls-auth-clients", "no", port=port
    )
    yield server
    server.close()


async def test_tls_is_spoken_with_a_server_that_the_bundle_knows(tls_redis: RedisServer, certificates: Path) -> None:
    bundle = (certificates / "server.crt").read_text()
    server = {"url": f"rediss://localhost:{tls_redis.port}/2", "ca_bundle": bundle}
    patience = {"connect_timeout_seconds": 30, "call_timeout_seconds": 60}  # ten handshakes at once are dear
    cache = RedisCacheService.from_settings(RedisSettings.model_validate(server | patience))
    await cache.initialize()
    await asyncio.gather(*(cache.set(f"key:{index}", index) for index in range(100)))

    assert await cache.get("key:99") == 99
    assert 1 <= tls_redis.clients() <= 10

    await cache.close()
    tls_redis.wait_for_clients(0)


def test_a_bundle_without_tls_is_refused(certificates: Path) -> None:
    bundle = (certificates / "server.crt").read_text()
    for server in ({"host": "r"}, {"url": "redis://r"}):
        with pytest.raises(
            ValidationError, match="ca_bundle is of no use without TLS; set tls, or begin url with rediss"
        ):
            RedisSettings.model_validate({**server, "ca_bundle": bundle})


@pytest.mark.parametrize(
    ("host", "bundle", "told"),
    [
        ("localhost", "other.crt", r"its certificate is not trusted \(self-signed certificate\)"),
        ("localhost", None, r"its certificate is not trusted \(self-signed certificate\)"),
        ("127.0.0.1", "server.crt", r"its certificate is not trusted \(ip address mismatch, certificate is not valid"),
    ],
)
async def test_a_server_that_is_not_trusted_is_told(
    tls_redis: RedisServer, certificates: Path, host: str, bundle: str | None, told: str
) -> None:
    text = (certificates / bundle).read_text() if bundle else None
    cache = RedisCacheService(host, tls_redis.port, tls=True, ca_bundle=text)

    with pytest.raises(ServiceUnavailableError, match=f"cannot be reached: {told}"):
        await cache.initialize()
    await cache.close()


async def test_tls_with_a_server_that_does_not_speak_it_is_told(redis_server: RedisServer) -> None:
    cache = RedisCacheService("localhost", redis_server.port, tls=True)

    with pytest.raises(ServiceUnavailableError, match="longer than connect_timeout_seconds; with TLS, does it"):
        await cache.initialize()
    await cache.close()


async def test_a_server_that_speaks_tls_only_is_told(tls_redis: RedisServer) -> None:
    cache = RedisCacheService("localhost", tls_redis.port)

    with pytest.raises(ServiceUnavailableError, match="cannot be reached: "):
        await cache.initialize()
    await cache.close()
