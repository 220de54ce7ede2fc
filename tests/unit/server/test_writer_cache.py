"""What the writer still knows changes no answer: with it and without, alone and beside another writer."""

from __future__ import annotations

import contextlib
import random
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from oncekv.server.config import Config
from oncekv.server.engine.storage import open_store
from oncekv.server.engine.storage import writer_cache as known_module
from oncekv.server.engine.storage.base import Counters, Session, Store
from oncekv.server.engine.storage.record_slots import Slots
from oncekv.server.engine.storage.sqlite_queries import SqliteView
from oncekv.server.engine.storage.staged import Effect, Group
from oncekv.server.engine.storage.writer_cache import WriterCache
from oncerpc.server.dedup.base import IdempotencyKey
from oncerpc.server.dedup.persisted import PersistedDedup
from oncerpc.server.sessions import Sessions
from oncerpc.wire.errors import Refused
from oncerpc.wire.identity import CallMeta
from oncerpc.wire.jsonrpc import Reply
from tests.support.seed import SEED

NAMES = [f"name-{number}" for number in range(6)]
LEASE_MS = 100_000
KEYS = ["a", "b", "c\0d", "é"]


@dataclass(frozen=True)
class Step:
    """One attempt, or a session's opening or end. What it stands for is drawn once, and done by everybody."""

    what: str
    name: str
    seq: int
    acked: int
    key_of_kv: str
    key: IdempotencyKey | None = None
    fingerprint: bytes = b"f" * 16
    key_kept_ms: int = 86_400_000

    @property
    def meta(self) -> CallMeta:
        """As on the wire."""
        is_write = self.what == "write"
        return CallMeta(session=self.name, seq=self.seq if is_write else None, acked=min(self.acked, self.seq - 1))


@dataclass
class Writer:
    """A store with its gate; `lasting` keeps what it knows from group to group."""

    store: Store
    lasting: bool
    cache: WriterCache = field(default_factory=WriterCache)
    gate: PersistedDedup = field(default_factory=lambda: PersistedDedup(_sessions()))

    def group(self, steps: Sequence[Step], now_ms: int, *, fails: bool) -> list[object]:
        """What each step was told."""
        if not self.lasting:
            self.cache = WriterCache()
        told: list[object] = []
        with contextlib.suppress(ZeroDivisionError), self.store.write() as writer:
            group = Group(writer, self.cache)
            group.prefetch({step.name for step in steps}, {step.key_of_kv for step in steps})
            told = [self._do(group, step, now_ms) for step in steps]
            _sessions().sweep(group, now_ms)
            group.finish(now_ms, save_clock=False)
            told.append(group.counters)
            if fails:
                raise ZeroDivisionError
        if fails:
            self.cache.forget()
        return told

    def _do(self, group: Group, step: Step, now_ms: int) -> object:
        if step.what == "open" and group.session(step.name) is None:
            return group.open_session(step.name, LEASE_MS, now_ms + LEASE_MS).number
        try:
            recorded = self.gate.admit(group, step, now_ms)
        except Refused as refusal:
            return refusal.as_json()
        if step.what == "close" and (session := group.session(step.name)):
            group.end_session(session)
        if recorded or step.what != "write":
            return recorded
        effect = Effect(group)
        reply = Reply(False, b'{"version":%d}' % effect.put(step.key_of_kv, f"{step.name} {step.seq}\0"))
        group.merge(effect)
        self.gate.record_reply(group, step, reply, now_ms)
        return reply


def _sessions() -> Sessions:
    return Sessions(Config(store_url="", lease_ms=LEASE_MS), lambda: "never")


class Draw:
    """Clients as they are: mostly one call after the other, some with many outstanding, late duplicates, leaps."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._seq = dict.fromkeys(NAMES, 0)
        self.now_ms = 0

    def group(self) -> list[Step]:
        """Up to twenty steps, and some time."""
        self.now_ms += self._random.choice([1, 10, 500, LEASE_MS // 3])
        return [self._step() for _ in range(self._random.randrange(20))]

    def fails(self) -> bool:
        """Every tenth group is rolled back."""
        return self._random.random() < 0.1

    def _step(self) -> Step:
        name = self._random.choice(NAMES)
        what = self._random.choices(["write", "read", "open", "close"], [80, 10, 8, 1])[0]
        last = self._seq[name]
        if self._random.random() < 0.8:
            self._seq[name] = last = last + 1
        seq = max(1, last - self._random.choice([0, 0, 0, 1, 3, 8]))
        acked = max(0, seq - self._random.choice([1, 1, 1, 2, 5, 30]))
        return Step(what, name, seq, acked, self._random.choice(KEYS))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Callable[[str], Store]]:
    """Opens stores of this test's own, by name."""
    with contextlib.ExitStack() as stack:

        def open_one(name: str) -> Store:
            opened = open_store(f"sqlite:///{tmp_path}/{name}.db")
            stack.callback(opened.close)
            return opened

        yield open_one


def _content(path: Path) -> tuple[object, ...]:
    """Rows; of sessions what counts; and whether the tally agrees with what can be counted."""
    with contextlib.closing(sqlite3.connect(path)) as store:
        answer = "substr(answer, 1, length(answer) - 4)"  # without its checksum, which is of the slot as well
        records = store.execute(f"SELECT place / 1024, seq, {answer} FROM record ORDER BY 1, 2").fetchall()
        sql = (
            "SELECT number, name, expires_ms, max(acked, coalesce((SELECT max(acked) FROM record"
            " WHERE place / 1024 = number), 0)) FROM session ORDER BY number"
        )
        sessions = store.execute(sql).fetchall()
        counted = store.execute("SELECT sessions, records FROM tally").fetchone()
        assert counted == (len(sessions), len(records))
        return records, sessions, store.execute("SELECT * FROM kv ORDER BY key").fetchall()


@pytest.mark.parametrize("seed", range(SEED, SEED + 15))
@pytest.mark.parametrize("bound", [2, 4096])
def test_the_same_answers_and_rows(
    store: Callable[[str], Store], tmp_path: Path, seed: int, bound: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that knows, one that forgets after every group, and two on one store by turns, each with what it knows."""
    monkeypatch.setattr(known_module, "SESSIONS_MAX", bound)
    lasting, forgetting = Writer(store("lasting"), lasting=True), Writer(store("forgetting"), lasting=False)
    pair = [Writer(store("shared"), lasting=True), Writer(store("shared"), lasting=True)]
    draw, turns = Draw(seed), random.Random(seed)
    for _ in range(60):
        steps, fails = draw.group(), draw.fails()
        told = [writer.group(steps, draw.now_ms, fails=fails) for writer in (lasting, forgetting, turns.choice(pair))]
        assert told[0] == told[1] == told[2]
        found = [_content(tmp_path / f"{name}.db") for name in ("lasting", "forgetting", "shared")]
        assert found[0] == found[1] == found[2]


def test_it_is_bounded(store: Callable[[str], Store]) -> None:
    """However many sessions come by, the writer does not keep them all."""
    one = store("kv")
    cache = WriterCache()
    for first in range(0, 3 * known_module.SESSIONS_MAX, 1000):
        with one.write() as writer:
            group = Group(writer, cache)
            for number in range(first, first + 1000):
                group.open_session(f"{number}", LEASE_MS, LEASE_MS)
            group.finish(0, save_clock=False)
    assert len(cache.sessions) <= known_module.SESSIONS_MAX + 1000


class Version:
    """A writer of whose store nothing is asked but whether somebody else has written."""

    def __init__(self, version: int | None) -> None:
        self.version = version

    def data_version(self) -> int | None:
        """As set."""
        return self.version


def _session(name: str, records: int = 0) -> Session:
    return Session(1, name, LEASE_MS, LEASE_MS, 0, Slots({seq: seq for seq in range(records)}))


@pytest.mark.parametrize(
    ("before", "after", "keeps"), [(1, 1, True), (1, 2, False), (None, None, False), (1, None, False), (None, 1, False)]
)
def test_it_is_kept_while_nobody_else_has_written(before: int | None, after: int | None, keeps: bool) -> None:
    """And not a group longer; where nobody can tell, nothing is kept from one group to the next."""
    cache = WriterCache()
    cache.begin(Version(before))  # type: ignore[arg-type]  # all that it asks
    cache.learn(_session("s", 3))
    cache.counters = Counters(1, 1, 1, 3)
    cache.begin(Version(after))  # type: ignore[arg-type]  # all that it asks
    assert (list(cache.sessions), cache.counters is not None, cache.records) == (
        (["s"], True, 3) if keeps else ([], False, 0)
    )


@pytest.mark.parametrize(("sessions", "records", "keeps"), [(4, 2, True), (5, 0, False), (2, 4, True), (3, 3, False)])
def test_either_bound_drops_it(monkeypatch: pytest.MonkeyPatch, sessions: int, records: int, keeps: bool) -> None:
    """Up to four sessions with eight records in sum here; one more of either, and all is read anew."""
    monkeypatch.setattr(known_module, "SESSIONS_MAX", 4)
    monkeypatch.setattr(known_module, "RECORDS_MAX", 8)
    cache = WriterCache()
    for _ in range(2):  # the second time after it was dropped: the count begins anew as well
        cache.begin(Version(1))  # type: ignore[arg-type]  # all that it asks
        for number in range(sessions):
            cache.learn(_session(f"{number}", records))
        cache.begin(Version(1))  # type: ignore[arg-type]  # all that it asks
        assert bool(cache.sessions) is keeps
        cache.forget()


def test_what_is_known_is_not_asked_for(store: Callable[[str], Store], monkeypatch: pytest.MonkeyPatch) -> None:
    """A session is read once, and its calls after that cost no statement."""
    asked: list[str] = []
    real = SqliteView.sessions

    def sessions(self: SqliteView, names: Sequence[str]) -> list[Session]:
        asked.extend(names)
        return real(self, names)

    monkeypatch.setattr(SqliteView, "sessions", sessions)
    one, cache = store("kv"), WriterCache()
    steps: list[Callable[[Group], object]] = [
        lambda group: group.open_session("s", LEASE_MS, LEASE_MS), *[lambda group: group.session("s")] * 3,
    ]  # fmt: skip
    for step in steps:
        with one.write() as writer:
            group = Group(writer, cache)
            group.prefetch({"s", "nobody"}, ())
            assert step(group)
            assert group.session("nobody") is None
            group.finish(0, save_clock=False)
    assert sorted(asked) == ["nobody"] * 4 + ["s"]
