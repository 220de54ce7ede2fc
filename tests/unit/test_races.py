"""Races: many threads, an interpreter that switches between them every few microseconds, and exact counts.

Server and client stand in one process, without sockets. The network between them doubles requests, both copies at once,
and loses replies. What is counted: each call's effect once, each seq and each outbox entry once.
"""

from __future__ import annotations

import contextlib
import random
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from oncekv.client import Environment, RetryPolicy, connect
from oncekv.server.config import Config
from oncekv.server.engine.committer import Committer
from oncekv.server.engine.storage import open_store
from oncekv.server.engine.storage.base import Store
from oncekv.server.http.app import KvServer
from oncekv.server.process.writer import serve_workers
from oncekv.server.wiring import make_components
from oncerpc.client.session.outbox import Outbox
from oncerpc.client.transport.attempt_result import Lost
from oncerpc.client.transport.reply import Received
from oncerpc.server.http.endpoint import HttpReply
from oncerpc.server.http.exchange import Exchange
from oncerpc.server.rpc.call import BaseCommitter, Submission
from oncerpc.server.rpc.components import Components
from oncerpc.server.rpc.dispatcher import Caller
from tests.bugs.planted import load
from tests.support.seed import SEED
from tests.support.thread_switches import hasty_switching
from tests.support.waiting import at_once

RACY = (
    "call_queue.py", "committer.py", "exchange.py", "remote_committer.py", "ledger.py", "outbox.py", "session.py",
    "watchdog.py", "writer.py",
)  # fmt: skip
RACES_MAX = 20
THREADS = 12
CALLS = 30
WAIT_MAX_S = 30.0

T = TypeVar("T")
Way = Callable[[Exchange], HttpReply]


@pytest.fixture(autouse=True)
def hasty() -> Iterator[None]:
    """The interpreter changes threads between any two steps of these files."""
    with hasty_switching(*RACY):
        yield


@pytest.fixture(params=["its own committer", "a writer for all workers"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[KvServer]:
    """A whole server but for its sockets; the writer is here on threads, where it races more than in its process."""
    config = Config(store_url=f"sqlite:///{tmp_path}/kv.db", group_max=8)

    def components() -> Components[Store]:
        return make_components(config, open_store(config.store_url), 1, None)

    with contextlib.ExitStack() as stack:
        channel = None
        if request.param != "its own committer":
            channel, end = socket.socketpair()
            writer = threading.Thread(target=serve_workers, args=(components(), [end], lambda: None))
            writer.start()
            stack.callback(writer.join, WAIT_MAX_S)
        server = KvServer(components(), channel)
        server.committer.listen(None)
        yield server
        assert len(server.running) == 0, "a request was never answered"
        queue = server.committer._queue if isinstance(server.committer, Committer) else None
        assert queue is None or (queue._waiting, queue._waiting_bytes) == (0, 0), "the queue was not counted right"
        server.close()


class Scheduler:
    """The event loop's ways: one thread that runs callbacks, and a few that may wait."""

    def __init__(self, commits: BaseCommitter) -> None:
        self._commits = commits
        self._loop = ThreadPoolExecutor(1)
        self._pool = ThreadPoolExecutor(4)
        self.on_loop = self._loop.submit
        self.in_thread = self.read = self._pool.submit

    def commit(self, waiting: Submission) -> None:
        """At once: what comes together is the sockets' affair."""
        self._commits.submit([waiting])

    def run(self, exchange: Exchange) -> HttpReply:
        """Begin it on the loop, and wait out here for its reply."""
        reply: Future[HttpReply] = Future()
        self.on_loop(exchange.start, reply.set_result, self)
        return reply.result(WAIT_MAX_S)

    def close(self) -> None:
        """Their threads end."""
        self._pool.shutdown()
        self._loop.shutdown()


@pytest.fixture(params=["threads", "event-loop"])
def channel(request: pytest.FixtureRequest, server: KvServer) -> Iterator[Way]:
    """How an exchange is carried out."""
    if request.param == "threads":
        yield Exchange.answer
        return
    with contextlib.closing(Scheduler(server.committer)) as scheduler:
        yield scheduler.run


class DoublingNetwork:
    """A transport: half of the requests arrive twice at the same moment, and a fifth of the replies is lost."""

    def __init__(self, server: KvServer, channel: Way) -> None:
        self._context = server.served
        self._channel = channel
        self._twins = ThreadPoolExecutor(THREADS)
        self._local = threading.local()
        self.doubled = self.lost = 0

    def post(self, _url: str, body: bytes, headers: Mapping[str, str], _timeout_s: float) -> Received | Lost:
        """One attempt."""
        rng = self._rng()
        twin = self._twins.submit(self._arrive, body, headers) if rng.random() < 0.5 else None
        reply = self._arrive(body, headers)
        if twin:
            self.doubled += 1
            twin.result(WAIT_MAX_S)
        if rng.random() < 0.2:
            self.lost += 1
            return Lost("the reply was lost")
        return Received(int(reply.status[:3]), reply.body)

    def close(self) -> None:
        """Its threads end."""
        self._twins.shutdown()

    def _arrive(self, body: bytes, headers: Mapping[str, str]) -> HttpReply:
        return self._channel(Exchange(self._context, body, Caller(b"", headers.get("Idempotency-Key"), 0.0)))

    def _rng(self) -> random.Random:
        if not hasattr(self._local, "rng"):
            self._local.rng = random.Random(f"{SEED}/{threading.get_ident()}")
        rng: random.Random = self._local.rng
        return rng


def test_each_call_runs_once_whoever_races(server: KvServer, tmp_path: Path, channel: Way) -> None:
    """Gate, committer, session and outbox together: every call of every thread is told ok, and has run once."""
    network = DoublingNetwork(server, channel)
    policy = RetryPolicy(first_delay_s=0.001, delay_max_s=0.01, attempt_timeout_s=WAIT_MAX_S)
    environment = Environment(network, lambda: 0.0, lambda _seconds: None, lambda _low, high: high)
    with connect(
        "kv=http://kv", semantics="exactly-once", outbox=tmp_path / "o", retry=policy, environment=environment
    ) as kv:

        def write(thread: int) -> None:
            for call in range(CALLS):
                kv.append("all", f"{thread}.{call};")
                kv.increment(f"own-{thread}")

        at_once([partial(write, thread) for thread in range(THREADS)], WAIT_MAX_S)
        ran = Counter((kv.get("all").value or "").split(";")[:-1])
        own = {kv.get(f"own-{thread}").value for thread in range(THREADS)}
    assert ran == Counter(f"{thread}.{call}" for thread in range(THREADS) for call in range(CALLS))
    assert own == {str(CALLS)}
    assert network.doubled > THREADS
    assert network.lost > THREADS
    with contextlib.closing(Outbox(tmp_path / "o")) as outbox:
        assert outbox.entries() == []


def test_of_racing_attempts_one_runs_and_all_get_its_reply(server: KvServer, channel: Way) -> None:
    """Many attempts of each identity at once: one is the first, the others are its replays, and their replies agree."""
    _race_attempts(server, channel)


def test_a_gate_that_checks_before_it_acts_is_caught(server: KvServer, channel: Way) -> None:
    """The race above is lost by a gate that looks for the record outside the writer, and is right where none races."""
    with load("check-then-act").plant():
        _race_attempts(server, channel, one_after_the_other)
        with pytest.raises(AssertionError):
            _race_again_and_again(server, channel)


def _race_again_and_again(server: KvServer, channel: Way) -> None:
    """On a busy machine a race is not lost every time."""
    for _ in range(RACES_MAX):
        _race_attempts(server, channel)


def one_after_the_other(thunks: Sequence[Callable[[], T]], _timeout_s: float) -> list[T]:
    """What `at_once` does, without the race."""
    return [thunk() for thunk in thunks]


def _race_attempts(server: KvServer, channel: Way, run: Callable[..., list[list[bytes]]] = at_once) -> None:
    def send(document: str) -> bytes:
        return channel(Exchange(server.served, document.encode(), Caller(b"", None, 0.0))).body

    opened = send('{"jsonrpc":"2.0","id":1,"method":"session.open","params":{}}').decode()
    name = opened.partition('"session":"')[2].partition('"')[0]
    calls = [
        f'{{"jsonrpc":"2.0","id":1,"method":"kv.append","params":{{"key":"k","value":"x",'
        f'"_meta":{{"session":"{name}","seq":{seq}}}}}}}'
        for seq in range(1, 81)
    ]

    def attempt_all(thread: int) -> list[bytes]:
        order = random.Random(f"{SEED}/{thread}").sample(range(len(calls)), len(calls))
        replies = {number: send(calls[number]) for number in order}
        return [replies[number] for number in range(len(calls))]

    mark = b',"_meta":{"replayed":true}'
    told = run([partial(attempt_all, thread) for thread in range(6)], WAIT_MAX_S)
    offsets = []
    for attempts in zip(*told, strict=True):
        assert sum(mark not in reply for reply in attempts) == 1, attempts
        (bare,) = {reply.replace(mark, b"") for reply in attempts}
        offsets.append(int(bare.partition(b'"offset":')[2].rstrip(b"}")))
    assert sorted(offsets) == list(range(min(offsets), min(offsets) + len(calls)))
