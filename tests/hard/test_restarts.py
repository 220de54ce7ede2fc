"""Restarts that an operator makes: one server after the other under load, and SIGTERM at bad moments, twice."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

import oncekv.client as oncekv
from chaos.runtime.local import LocalServer
from oncekv.client import Ok, Outcome
from tests.hard.planted import command
from tests.support.caller import LOST, Caller, Session, request
from tests.support.one_name import OneName
from tests.support.raw_socket import connect
from tests.support.replies import Answer
from tests.support.server import Node
from tests.support.server import oncekv as run_oncekv
from tests.support.stores import url_of
from tests.support.waiting import in_background, until

CLIENTS = 4
ROUNDS = 3
PATIENCE_S = 30.0
BATCH = 10_000
PAGES_MIB = 12


class Counting:
    """Clients that count on a key each, over one name, until told to end."""

    def __init__(self, url: str, semantics: str) -> None:
        self.outcomes: list[list[Outcome]] = [[] for _ in range(CLIENTS)]
        self._url, self._semantics = url, semantics
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._live, args=(number,)) for number in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    @property
    def ok(self) -> int:
        return sum(isinstance(outcome, Ok) for told in self.outcomes for outcome in told)

    @property
    def others(self) -> list[Outcome]:
        return [outcome for told in self.outcomes for outcome in told if not isinstance(outcome, Ok)]

    def end(self) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def _live(self, number: int) -> None:
        with oncekv.connect(self._url, semantics=self._semantics, timeout_s=PATIENCE_S) as kv:
            while not self._is_over.wait(0.002):
                self.outcomes[number].append(kv.outcome("kv.increment", {"key": f"{self._semantics}-{number}"}))


def _roll(servers: Sequence[LocalServer], counting: Counting) -> None:
    """One after the other, some calls between."""
    for server in [*servers] * ROUNDS:
        before = counting.ok
        until(lambda: counting.ok > before + 20, what="calls between two restarts")  # noqa: B023 used at once
        assert server.stop(60.0) == 0
        server.start()


@pytest.mark.parametrize("engine", ["sqlite", pytest.param("postgresql", marks=pytest.mark.long)])
def test_a_rolling_restart(tmp_path: Path, engine: str) -> None:
    """Two servers on one store, behind one name: clients with patience notice nothing, and no count is off."""
    store = url_of(engine, tmp_path)
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(LocalServer(tmp_path / name, store=store, name=name)) for name in ("a", "b")]
        name = stack.enter_context(OneName([server.port for server in servers]))
        counting = Counting(name.url, "at-most-once")
        try:
            _roll(servers, counting)
        finally:
            counting.end()
        assert counting.others == []
        with contextlib.closing(Caller(servers[0].url)) as kv:
            counts = [kv.get(f"at-most-once-{number}") for number in range(CLIENTS)]
        assert counts == [(str(len(told)), len(told)) for told in counting.outcomes]
        assert min(name.served.values()) > 0
        again = sum(len(outcome.attempts) > 1 for told in counting.outcomes for outcome in told)
        print(f"{len(servers) * ROUNDS} restarts, {counting.ok} calls, {again} of them needed more than one attempt")


@pytest.mark.parametrize("workers", [1, 2])
def test_one_server_restarted_under_load(fresh: Callable[..., Node], workers: int) -> None:
    """Nobody serves for a moment; clients with patience wait for it."""
    node = fresh(workers=workers)
    counting = Counting(node.server.url, "at-most-once")
    try:
        _roll([node.server], counting)
    finally:
        counting.end()
    assert counting.others == []
    assert [node.kv.get(f"at-most-once-{n}")[0] for n in range(CLIENTS)] == [str(len(it)) for it in counting.outcomes]


def _batch(session: Session) -> list[Answer]:
    metas = [{"session": session.name, "seq": seq, "acked": max(0, seq - 900)} for seq in range(1, BATCH + 1)]
    calls = [request("kv.increment", {"key": "n", "_meta": meta}, id=meta["seq"]) for meta in metas]
    return session.kv.send(calls).answers


def _takes_connections(node: Node) -> bool:
    try:
        connect(node.server.url, 1.0).close()
    except OSError:
        return False
    return True


def _told_to_end_within_a_batch(node: Node) -> Sequence[Answer]:
    """SIGTERM twice once some of it is done; what its caller is told."""
    with contextlib.closing(Caller(node.server.url, timeout_s=90.0)) as caller:
        session = caller.open()
        telling = in_background(lambda: _batch(session))
        until(lambda: int(node.kv.get("n")[0] or 0) > 100, what="the first of the batch")
        os.kill(node.server.pid, signal.SIGTERM)
        until(lambda: not _takes_connections(node), 20.0, "the first signal is heard")
        assert not telling.done(), "the batch was too short"
        os.kill(node.server.pid, signal.SIGTERM)
        try:
            return telling.result(90.0)
        finally:
            node.server.wait_dead(90.0)


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.long)])
def test_sigterm_within_a_batch_of_ten_thousand(fresh: Callable[..., Node], workers: int) -> None:
    """All of it runs and is answered, then the server ends with 0; afterwards each is there once."""
    node = fresh(workers=workers)
    answers = _told_to_end_within_a_batch(node)
    assert node.server.returncode == 0
    ok = [answer for answer in answers if answer.error is None]
    assert {answer.code for answer in answers} <= {None, 11}
    assert len(answers) == BATCH
    node.server.start()
    assert node.kv.get("n") == (str(len(ok)), len(ok))


def test_a_server_that_hears_twice_is_caught(fresh: Callable[..., Node]) -> None:
    """Planted: a second SIGTERM means it, and the server ends at once."""
    node = fresh(command=command("second-signal-kills"))
    with pytest.raises(LOST):
        _told_to_end_within_a_batch(node)


def _size(place: Path) -> int:
    return place.stat().st_size if place.exists() else 0


@pytest.mark.parametrize("then", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_while_the_log_is_written_back(fresh: Callable[..., Node], then: signal.Signals) -> None:
    """SIGTERM ends a server, which writes its log back; another signal comes in the middle of that. Nothing is lost."""
    node = fresh()
    file = node.server.data_dir / "kv.db"
    hits = 0
    for attempt in range(8):
        text = f"{attempt}" * 2**20
        for number in range(PAGES_MIB):
            node.kv.ok("kv.put", key=f"k{number}", value=text)
        before, log = file.stat().st_mtime_ns, _size(file.with_name("kv.db-wal"))
        assert log > PAGES_MIB * 2**20 / 2
        os.kill(node.server.pid, signal.SIGTERM)
        while file.stat().st_mtime_ns == before and node.server.running:
            pass
        is_hit = node.server.running and _size(file.with_name("kv.db-wal")) > 0
        if node.server.running:
            os.kill(node.server.pid, then)
        code = node.server.wait_dead(30.0)
        assert code in ((0,) if then == signal.SIGTERM else (0, -signal.SIGKILL))
        hits += is_hit and code == (0 if then == signal.SIGTERM else -signal.SIGKILL)
        assert run_oncekv("verify", node.server.store).returncode == 0
        node.server.start()
        assert {node.kv.get(f"k{number}") for number in range(PAGES_MIB)} == {(text, attempt + 1)}
        if hits:
            return
    pytest.fail("no signal came while the log was written back")
