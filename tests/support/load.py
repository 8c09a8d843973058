"""A load client that can fail: it counts how every request ended, and never sends one twice.

A client that repeats what was lost hides the loss, and a POST must not be repeated by anybody who does not know what it
does. So nothing here retries; aiohttp repeats only methods that are idempotent.
"""

import asyncio
import itertools
import json
import math
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

import aiohttp

CONNECT_SECONDS = 5.0
_BACKOFF_SECONDS = 0.1
"""Pause of a worker whose request was lost: without one it would ask a server that refuses thousands of times."""
_WORDS = "the quick brown fox jumps over the lazy dog"


class Ending(StrEnum):
    """How a request ended."""

    OK = "ok"
    """The whole answer came, and it is the one that was asked for."""
    REFUSED = "refused"
    """There was no connection to be had."""
    RESET = "reset"
    """The connection ended before the answer began."""
    CUT = "cut"
    """The answer began and did not come to its end."""
    REJECTED = "rejected"
    """The server said no: another status than 200, or an `error` in the stream."""
    WRONG = "wrong"
    """The answer is whole and not the one that was asked for."""
    SLOW = "slow"
    """It was not over within the limit."""


@dataclass(frozen=True)
class Asked:
    """One request and its end."""

    begun: float
    """When it was sent (`time.monotonic`)."""
    seconds: float
    """From there to its end, connecting included."""
    streamed: bool
    ending: Ending
    detail: str
    """What was seen, for people; the revision that answered if it is OK."""

    @property
    def ended(self) -> float:
        """When it ended."""
        return self.begun + self.seconds


@dataclass(frozen=True)
class Figures:
    """What a number of requests amounts to."""

    endings: Counter[Ending]
    streamed: int
    """How many of them were streamed."""
    median: float
    """Seconds; of those that are OK, as the next two."""
    p99: float
    longest: float
    per_second: float

    def __str__(self) -> str:
        counts = ", ".join(f"{count} {ending}" for ending, count in self.endings.most_common())
        return (
            f"{self.endings.total()} requests ({self.streamed} streamed), {self.per_second:.0f}/s: {counts}; "
            f"p50 {self.median:.3f} s, p99 {self.p99:.3f} s, longest {self.longest:.3f} s"
        )


def figures(asked: Iterable[Asked]) -> Figures:
    """Sum up requests; at least one."""
    requests = list(asked)
    good = sorted(one.seconds for one in requests if one.ending is Ending.OK) or [math.nan]
    span = max(one.ended for one in requests) - min(one.begun for one in requests)
    return Figures(
        endings=Counter(one.ending for one in requests),
        streamed=sum(one.streamed for one in requests),
        median=_quantile(good, 0.5),
        p99=_quantile(good, 0.99),
        longest=good[-1],
        per_second=len(requests) / span,
    )


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class Load:
    """Workers that ask an agent, each again as soon as it has its answer or at its time, from entering to leaving."""

    def __init__(
        self,
        url: str,
        *,
        workers: int,
        pooled: bool,
        period: float = 0,
        stream_every: int = 5,
        limit: float = 60,
        ramp: float = 2,
    ) -> None:
        """Prepare the workers.

        Args:
            url: Of `/v1/run`. The agent must answer what it is asked with the same words.
            workers: How many requests are under way at any time.
            pooled: Whether connections are kept and used again; else each request has one of its own.
            period: Seconds from one request of a worker to its next; all are one after the other without it.
            stream_every: One of so many requests is streamed; none if it is 0.
            limit: Seconds that a request may take.
            ramp: Seconds over which the workers start, so that they do not ask in step.
        """
        self._url = url
        self._workers = workers
        self._pooled = pooled
        self._period = period
        self._stream_every = stream_every
        self._limit = limit
        self._ramp = ramp
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load")
        self._error: BaseException | None = None
        self.asked: list[Asked] = []
        """Every request that has ended, in the order in which they did."""
        self.connections = 0
        """How many were opened."""
        self.cpu_seconds = 0.0
        """What the client itself took of a core; known at the end."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let every worker have its last answer."""
        self._stop.set()
        self._thread.join()
        if self._error is not None and error is None:
            raise self._error

    def lost(self) -> list[Asked]:
        """Give the requests so far that are not OK."""
        return [one for one in list(self.asked) if one.ending is not Ending.OK]

    def between(self, begin: float, end: float) -> list[Asked]:
        """Give the requests that were under way at any moment between two times."""
        return [one for one in list(self.asked) if one.ended >= begin and one.begun <= end]

    def _run(self) -> None:
        try:
            asyncio.run(self._drive())
        except BaseException as error:  # noqa: BLE001 - raised where the client is left
            self._error = error
        self.cpu_seconds = time.thread_time()

    async def _drive(self) -> None:
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=not self._pooled),
            timeout=aiohttp.ClientTimeout(total=self._limit, sock_connect=CONNECT_SECONDS),
            trace_configs=[self._counting()],
        )
        async with session, asyncio.TaskGroup() as group:
            for worker in range(self._workers):
                group.create_task(self._work(session, worker))

    def _counting(self) -> aiohttp.TraceConfig:
        async def count(*_: object) -> None:
            self.connections += 1

        trace = aiohttp.TraceConfig()
        trace.on_connection_create_end.append(count)
        return trace

    async def _work(self, session: aiohttp.ClientSession, worker: int) -> None:
        await asyncio.sleep(self._ramp * worker / self._workers)
        due = time.monotonic()
        for number in itertools.count():
            if self._period:
                await asyncio.sleep(due - time.monotonic())
                due += self._period
            if self._stop.is_set():
                return
            streamed = self._stream_every > 0 and (worker + number) % self._stream_every == 0
            question = f"{uuid.uuid4().hex} {worker}.{number} {_WORDS}"
            begun = time.monotonic()
            ending, detail = await self._ask(session, question, streamed=streamed)
            self.asked.append(Asked(begun, time.monotonic() - begun, streamed, ending, detail))
            if ending is not Ending.OK:
                await asyncio.sleep(_BACKOFF_SECONDS)

    async def _ask(self, session: aiohttp.ClientSession, question: str, *, streamed: bool) -> tuple[Ending, str]:
        began = False
        try:
            async with session.post(self._url, json={"input": question, "stream": streamed}) as response:
                began = True
                status, content = response.status, await response.read()
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            return Ending.REFUSED, _told(error)
        except TimeoutError as error:
            return Ending.SLOW, _told(error)
        except (aiohttp.ClientError, OSError) as error:
            return Ending.CUT if began else Ending.RESET, _told(error)
        if status != HTTPStatus.OK:
            return Ending.REJECTED, f"{status} {content.decode(errors='replace')}"
        return _judged_stream(content, question) if streamed else _judged(content, question)


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _judged(content: bytes, question: str) -> tuple[Ending, str]:
    try:
        answer: dict[str, Any] = json.loads(content)
    except ValueError:
        return Ending.WRONG, repr(content)
    if answer.get("output") != question:
        return Ending.WRONG, repr(content)
    return Ending.OK, str(answer.get("revision"))


def _judged_stream(content: bytes, question: str) -> tuple[Ending, str]:
    """Judge server-sent events: pieces that make up the answer, then the answer, then nothing."""
    *whole, rest = content.decode(errors="replace").split("\n\n")
    pieces = ""
    for event in whole:
        name, _, data = event.removeprefix("event: ").partition("\ndata: ")
        if name == "error":
            return Ending.REJECTED, data
        if name == "result":
            ending, detail = _judged(data.encode(), question)
            is_last = event is whole[-1] and not rest
            return (ending, detail) if pieces == question and is_last else (Ending.WRONG, repr(content))
        pieces += json.loads(data)["text"]
    return Ending.CUT, f"the stream ended without its result: {content!r}"
