"""Races: many threads, an interpreter that switches between them every few microseconds, and exact counts.

Server and client stand in one process, without sockets. The network between them doubles requests, both copies at once,
and loses replies. What is counted: each call's effect once, each seq and each outbox entry once.
"""

from __future__ import annotations

import contextlib
import random
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from oncekv.client import RetryPolicy, World, connect
from oncekv.client.ending import Lost
from oncekv.client.outbox import Outbox
from oncekv.client.reply import Received
from oncekv.client.session import NoJournal, OpenedSession, Session
from oncekv.server.app import Node
from oncekv.server.config import Config
from oncekv.server.dispatch import Caller
from oncekv.server.endpoint import HttpReply
from oncekv.server.exchange import Exchange
from oncekv.server.storage import open_store
from oncekv.wire.errors import WindowExceeded
from tests.bugs.planted import load
from tests.support.seed import SEED
from tests.support.waiting import at_once

RACY = ("committer.py", "exchange.py", "ledger.py", "outbox.py", "session.py", "watchdog.py")
SWITCH_S = 5e-6
THREADS = 12
CALLS = 30
WAIT_MAX_S = 30.0

Way = Callable[[Exchange], HttpReply]


@pytest.fixture(autouse=True)
def hasty() -> Iterator[None]:
    """The interpreter changes threads a thousand times as often as it would, and between any two steps of RACY files.

    Left alone it changes them only where a function begins and where a loop turns, and a race on `n += 1` never shows.
    """
    usual_s = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    threading.settrace(_trace)
    yield
    threading.settrace(None)
    sys.setswitchinterval(usual_s)


def _trace(frame: FrameType, _event: str, _argument: object) -> Callable[..., Any] | None:
    """Called before every step, and being a function, a place to change threads at."""
    if not frame.f_code.co_filename.endswith(RACY):
        return None
    frame.f_trace_opcodes = True
    return _step


def _step(_frame: FrameType, _event: str, _argument: object) -> Callable[..., Any]:
    return _step


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """A whole server but for its sockets."""
    config = Config(store_url=f"sqlite:///{tmp_path}/kv.db", group_max=8)
    store = open_store(config.store_url)
    node = Node(config, store, store.boot(), None)
    yield node
    assert len(node.running) == 0, "a request was never answered"
    assert (node.committer._waiting, node.committer._waiting_bytes) == (0, 0), "the queue was not counted right"
    node.close()


class Places:
    """The event loop's ways: one thread that runs callbacks, and a few that may wait."""

    def __init__(self) -> None:
        self._loop = ThreadPoolExecutor(1)
        self._pool = ThreadPoolExecutor(4)
        self.on_loop = self._loop.submit
        self.elsewhere = self._pool.submit

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
def way(request: pytest.FixtureRequest) -> Iterator[Way]:
    """How an exchange is carried out."""
    if request.param == "threads":
        yield Exchange.answer
        return
    with contextlib.closing(Places()) as places:
        yield places.run


class DoublingNetwork:
    """A transport: half of the requests arrive twice at the same moment, and a fifth of the replies is lost."""

    def __init__(self, node: Node, way: Way) -> None:
        self._served = node.served
        self._way = way
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
        return self._way(Exchange(self._served, body, Caller(b"", headers.get("Idempotency-Key"), 0.0)))

    def _rng(self) -> random.Random:
        if not hasattr(self._local, "rng"):
            self._local.rng = random.Random(f"{SEED}/{threading.get_ident()}")
        rng: random.Random = self._local.rng
        return rng


def test_each_call_runs_once_whoever_races(node: Node, tmp_path: Path, way: Way) -> None:
    """Gate, committer, session and outbox together: every call of every thread is told ok, and has run once."""
    network = DoublingNetwork(node, way)
    policy = RetryPolicy(first_delay_s=0.001, delay_max_s=0.01, attempt_timeout_s=WAIT_MAX_S)
    world = World(network, lambda: 0.0, lambda _seconds: None, lambda _low, high: high)
    with connect("kv=http://kv", semantics="exactly-once", outbox=tmp_path / "o", retry=policy, world=world) as kv:

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


def test_of_racing_attempts_one_runs_and_all_get_its_reply(node: Node, way: Way) -> None:
    """Many attempts of each identity at once: one is the first, the others are its replays, and their replies agree."""
    _race_attempts(node, way)


def test_a_gate_that_checks_before_it_acts_is_caught(node: Node) -> None:
    """The race above is lost by a gate that looks for the record outside the writer."""
    with load("check-then-act").plant(), pytest.raises(AssertionError):
        _race_attempts(node, Exchange.answer)


def _race_attempts(node: Node, way: Way) -> None:
    def send(document: str) -> bytes:
        return way(Exchange(node.served, document.encode(), Caller(b"", None, 0.0))).body

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
    told = at_once([partial(attempt_all, thread) for thread in range(6)], WAIT_MAX_S)
    offsets = []
    for attempts in zip(*told, strict=True):
        assert sum(mark not in reply for reply in attempts) == 1, attempts
        (bare,) = {reply.replace(mark, b"") for reply in attempts}
        offsets.append(int(bare.partition(b'"offset":')[2].rstrip(b"}")))
    assert sorted(offsets) == list(range(len(calls)))


def test_seqs_are_given_out_once_and_acked_passes_no_open_call() -> None:
    """The session's books: no two calls get one seq, and no attempt acknowledges a call that is not finished."""
    _race_for_seqs(_session())


class NoLock:
    """What a forgotten lock does."""

    def __init__(self) -> None:
        self._looks = 0

    def __enter__(self) -> None: ...
    def __exit__(self, *_error: object) -> None: ...
    def notify_all(self) -> None: ...
    def wait(self, _time_s: float | None) -> bool:
        """Whoever waits looks again at once, but not for ever: a seq that got lost leaves the window full."""
        self._looks += 1
        return self._looks < 10_000


def test_a_session_without_its_lock_is_caught() -> None:
    """The race for seqs is lost without the lock."""
    session = _session()
    session._changed = NoLock()  # type: ignore[assignment]  # on purpose
    with pytest.raises((AssertionError, WindowExceeded)):
        _race_for_seqs(session)


def _session() -> Session:
    opened = OpenedSession("s", 2 * THREADS)
    return Session(lambda _key, _left: opened, lambda: "key", lambda left: left, NoJournal())


def _race_for_seqs(session: Session) -> None:
    calls = 400
    finished = [True] + [False] * (THREADS * calls)
    taken: list[int] = []

    def work(_thread: int) -> None:
        for _ in range(calls):
            identity = session.begin(1, WAIT_MAX_S)[0]
            taken.append(identity.seq)
            acked = identity.meta()["acked"]
            assert acked < identity.seq
            assert all(finished[max(0, acked - 4 * THREADS) : acked + 1]), "a call that is still open was acknowledged"
            finished[identity.seq] = True
            session.finish([identity])

    at_once([partial(work, thread) for thread in range(THREADS)], WAIT_MAX_S)
    assert sorted(taken) == list(range(1, THREADS * calls + 1))
    epoch = session.epoch
    assert epoch
    assert (epoch.ledger.acked, epoch.ledger.open_count) == (THREADS * calls, 0)


def test_outbox_entries_are_put_in_once_and_taken_out_once(tmp_path: Path) -> None:
    """Threads that share transactions get each their own entries; what nobody settled is still there."""
    rounds = 15
    with contextlib.closing(Outbox(tmp_path / "outbox")) as outbox:

        def work(thread: int) -> list[int]:
            kept = []
            for number in range(rounds):
                first, second = outbox.put([("kv.append", f'{{"key":"{thread}.{number}"}}'.encode(), None)] * 2)
                outbox.settle([first])
                kept.append(second)
            return kept

        kept = at_once([partial(work, thread) for thread in range(THREADS)], WAIT_MAX_S)
        ids = [entry_id for one in kept for entry_id in one]
        assert len(set(ids)) == THREADS * rounds
        assert [entry.id for entry in outbox.entries()] == sorted(ids)
        assert outbox.calls_begun == 2 * THREADS * rounds
        owners = {entry.id: entry.params for entry in outbox.entries()}
        for thread, own in enumerate(kept):
            assert [owners[one] for one in own] == [f'{{"key":"{thread}.{n}"}}'.encode() for n in range(rounds)]
