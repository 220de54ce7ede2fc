"""Leases and the session limit, with a clock that the test moves, on a real SQLite file."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from oncekv.server.config import Config
from oncekv.server.engine.storage import open_store
from oncekv.server.engine.storage.base import Store
from oncekv.server.engine.storage.staged import Group
from oncerpc.server.sessions import SWEEP_PORTION, Sessions
from oncerpc.wire.errors import SessionUnknown, TooManySessions

MINUTE_MS = 60_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An open store of this test's own."""
    store = open_store(f"sqlite:///{tmp_path}/kv.db")
    yield store
    store.close()


def _sessions(sessions_max: int = 10) -> Sessions:
    names = itertools.count()
    return Sessions(Config(store_url="", sessions_max=sessions_max), lambda: f"name-{next(names)}")


def _open(store: Store, sessions: Sessions, count: int, lease_ms: int, now_ms: int) -> list[str]:
    with store.write() as writer:
        group = Group(writer)
        names = [sessions.open(group, lease_ms, now_ms).name for _ in range(count)]
        group.finish(now_ms, save_clock=False)
    return names


def _call(store: Store, sessions: Sessions, name: str, now_ms: int) -> None:
    """As the committer does it: a refusal is one call's, and the group is committed."""
    refused = None
    with store.write() as writer:
        group = Group(writer)
        try:
            sessions.live(group, name, now_ms)
        except SessionUnknown as error:
            refused = error
        group.finish(now_ms, save_clock=False)
    if refused:
        raise refused


@pytest.mark.parametrize("lease_ms", [300, 1000, MINUTE_MS, 10 * MINUTE_MS])
@pytest.mark.parametrize("part", [0.05, 0.2, 0.3, 0.9])
def test_a_call_gives_the_whole_lease(store: Store, lease_ms: int, part: float) -> None:
    """However soon after the last renewal a call comes, the lease runs its whole length from that call."""
    sessions = _sessions()
    (name,) = _open(store, sessions, 1, lease_ms, 0)
    now_ms = 0
    for _ in range(5):
        now_ms += int(part * lease_ms)
        _call(store, sessions, name, now_ms)
    _call(store, sessions, name, now_ms + lease_ms - 1)


@pytest.mark.parametrize(("lease_ms", "longest"), [(300, 1.0), (10 * MINUTE_MS, 1.25)])
def test_a_lease_ends(store: Store, lease_ms: int, longest: float) -> None:
    """Without a call it is over, at the latest a quarter after its time, and then it stays over."""
    sessions = _sessions()
    (name,) = _open(store, sessions, 1, lease_ms, 0)
    _call(store, sessions, name, 10)
    with pytest.raises(SessionUnknown):
        _call(store, sessions, name, 10 + int(lease_ms * longest))
    with pytest.raises(SessionUnknown):
        _call(store, sessions, name, 10)


def test_sessions_whose_lease_is_over_make_room(store: Store) -> None:
    """The limit counts the living: one group may open as many as have run out, more than one sweep's portion too."""
    count = 3 * SWEEP_PORTION
    sessions = _sessions(count)
    _open(store, sessions, count, 300, 0)
    assert len(_open(store, sessions, count, 300, 1000)) == count


def test_the_limit_evicts_nobody(store: Store) -> None:
    """One session too many is refused, and those that are there live on."""
    sessions = _sessions(2)
    names = _open(store, sessions, 2, 300, 0)
    with pytest.raises(TooManySessions):
        _open(store, sessions, 1, 300, 1)
    for name in names:
        _call(store, sessions, name, 2)
