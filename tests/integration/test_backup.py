"""A backup is taken while a server serves; a server goes on from it: it answers what it knows, the rest is unknown."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from chaos.runtime.local import LocalServer, sqlite_url
from oncekv.server.engine.storage import sqlite_backup
from tests.bugs.base import replaced
from tests.support.caller import Caller
from tests.support.replies import expect
from tests.support.server import Node, oncekv
from tests.support.waiting import in_background


def _back_up(node: Node, target: Path) -> str:
    done = oncekv("backup", sqlite_url(node.server.data_dir / "kv.db"), target)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_a_restore_answers_what_the_backup_knows_and_says_unknown_of_the_rest(
    fresh: Callable[..., Node], tmp_path: Path
) -> None:
    """Replays from before; `session_unknown`, which is indefinite, and no effect for the lost time; new ones go on."""
    node = fresh()
    session = node.kv.open()
    first = session.do(1, "kv.append", key="k", value="[1]")
    keyed = node.kv.keyed("order-17", "kv.append", key="k", value="[keyed]")
    assert "epoch 1, keyed 1, keys 1, records 1, sessions 1" in _back_up(node, tmp_path / "b.db")
    session.do(2, "kv.append", key="k", value="[2]")
    node.server.kill()
    (tmp_path / "restored").mkdir()
    (tmp_path / "b.db").rename(tmp_path / "restored" / "kv.db")
    for start in range(2):
        with LocalServer(tmp_path / "restored") as server, contextlib.closing(Caller(server.url)) as kv:
            again = session.at(kv)
            assert again.do(1, "kv.append", key="k", value="[1]").bare == first.bare
            assert kv.keyed("order-17", "kv.append", key="k", value="[keyed]").bare == keyed.bare
            expect(again.do(2, "kv.append", key="k", value="[2]"), 1001)
            expect(again.do(10_000, "kv.append", key="k", value="[10000]"), 1001)
            assert kv.open().do(1, "kv.append", key=f"new{start}", value="x").ok["version"] == 1
            assert kv.get("k") == ("[1][keyed]", 2)


def test_a_backup_under_load_is_consistent(fresh: Callable[..., Node], tmp_path: Path) -> None:
    """Four sessions append meanwhile: in the copy each has its calls up to one of them, with their records."""
    node = fresh()
    is_over = threading.Event()

    def work(name: str) -> int:
        session, seq = node.kv.open(), 0
        while not is_over.is_set():
            seq += 1
            session.call("kv.append", meta={"seq": seq, "acked": seq - 1}, key=name, value=f"[{seq}]")
        return seq

    workers = [in_background(lambda name=name: work(name)) for name in "abcd"]  # type: ignore[misc]
    for number in range(3):
        _back_up(node, tmp_path / f"{number}.db")
        assert oncekv("verify", sqlite_url(tmp_path / f"{number}.db")).returncode == 0
    is_over.set()
    assert all(worker.result(60) > 0 for worker in workers)
    (tmp_path / "restored").mkdir()
    (tmp_path / "2.db").rename(tmp_path / "restored" / "kv.db")
    with LocalServer(tmp_path / "restored") as server, contextlib.closing(Caller(server.url)) as kv:
        for name in "abcd":
            value, version = kv.get(name)
            assert (value or "") == "".join(f"[{n}]" for n in range(1, version + 1))


def test_a_backup_is_there_as_a_whole_or_not_at_all(fresh: Callable[..., Node], tmp_path: Path) -> None:
    """A file that is there is not touched; a folder that is not there is named; nothing half-made stays."""
    node = fresh()
    url = sqlite_url(node.server.data_dir / "kv.db")
    (tmp_path / "there").write_text("mine")
    assert oncekv("backup", url, tmp_path / "there").returncode == 2
    assert (tmp_path / "there").read_text() == "mine"
    done = oncekv("backup", url, tmp_path / "no" / "b.db")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert not list(tmp_path.rglob("*.partial"))


def test_a_backup_without_records_is_caught(fresh: Callable[..., Node], tmp_path: Path) -> None:
    """Planted: "records are the server's bookkeeping, and no data". The replay above is then none."""
    node = fresh()
    session = node.kv.open()
    session.do(1, "kv.append", key="k", value="[1]")
    real = sqlite_backup._copy

    def copy(source: Path, partial: Path) -> None:
        import sqlite3

        real(source, partial)
        with contextlib.closing(sqlite3.connect(partial, isolation_level=None)) as db:
            db.execute("DELETE FROM record")

    with (
        replaced(sqlite_backup, _copy=copy),
        pytest.raises(sqlite_backup.BackupFailed, match="it counts 1 sessions and 1 records, there are 1 and 0"),
    ):
        sqlite_backup.back_up(node.server.data_dir / "kv.db", tmp_path / "b.db")
    assert not (tmp_path / "b.db").exists()
