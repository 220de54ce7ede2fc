"""Races in the client: its session's books and its outbox, under an interpreter that switches at every step."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from oncerpc.client.session.ledger import Ledger
from oncerpc.client.session.outbox import Outbox, OutboxError
from oncerpc.client.session.session import Epoch, Identity, OpenedSession, Session
from oncerpc.wire.errors import WindowExceeded
from tests.support.thread_switches import hasty_switching
from tests.support.waiting import at_once

THREADS = 12
WAIT_MAX_S = 30.0


@pytest.fixture(autouse=True)
def hasty() -> Iterator[None]:
    """The interpreter changes threads between any two steps of these files."""
    with hasty_switching("ledger.py", "outbox.py", "session.py"):
        yield


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
    return Session(lambda _key, _left: opened, lambda: "key", lambda left: left)


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
    with contextlib.closing(Outbox(tmp_path / "outbox")) as outbox:
        _race_for_entries(outbox)


def test_an_outbox_without_its_lock_is_caught(tmp_path: Path) -> None:
    """The race for entries is lost without the lock: transactions run into each other, or an entry is nobody's."""
    with contextlib.closing(Outbox(tmp_path / "outbox")) as outbox:
        lock, outbox._writer = outbox._writer, NoLock()  # type: ignore[assignment]  # on purpose
        with pytest.raises((AssertionError, OutboxError, IndexError)):
            _race_for_entries(outbox)
        outbox._writer = lock


def _race_for_entries(outbox: Outbox) -> None:
    rounds = 15
    identity = Identity(Epoch("key", Ledger()), 1)

    def work(thread: int) -> list[int]:
        kept = []
        for number in range(rounds):
            first, second = outbox.put([("kv.append", f'{{"key":"{thread}.{number}"}}'.encode(), identity)] * 2)
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
