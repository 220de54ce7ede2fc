"""Bits that flip, pages that are lost, files that are swapped: found, refused in words, never answered wrongly."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from chaos.runtime.local import LocalServer, ServerError, sqlite_url
from tests.support.caller import Caller
from tests.support.server import Node, oncekv

VALUE = "a value that nobody else has"
CALLS = 8


@pytest.fixture
def filled(fresh: Callable[..., Node]) -> tuple[Node, Path]:
    """A server that SIGKILL has ended, and its store: CALLS appends in a session, all of them still in the log."""
    node = fresh()
    session = node.kv.open()
    for seq in range(1, CALLS + 1):
        session.do(seq, "kv.append", key=f"k{seq}", value=VALUE)
    node.kv.keyed("order-17", "kv.append", key="keyed", value=VALUE)
    node.server.kill()
    return node, node.server.data_dir / "kv.db"


def _fold(store: Path) -> None:
    with contextlib.closing(sqlite3.connect(store)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _flip(file: Path, at: int) -> None:
    data = bytearray(file.read_bytes())
    data[at] ^= 0x04
    file.write_bytes(data)


def _verify(store: Path) -> tuple[int, str]:
    done = oncekv("verify", sqlite_url(store))
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


def _refuses_to_start(server: LocalServer, why: str) -> None:
    with pytest.raises(ServerError):
        server.start()
    assert why in server.log_tail()
    assert "Traceback" not in server.log_tail()


def test_a_sound_store_is_said_to_be_sound(filled: tuple[Node, Path]) -> None:
    """After SIGKILL and while a server runs; nothing is changed by looking."""
    node, store = filled
    before = {path.name: path.read_bytes() for path in store.parent.iterdir() if not path.name.endswith("-shm")}
    code, said = _verify(store)
    assert (code, said.startswith("sound: ")) == (0, True), said
    assert f"records {CALLS}" in said
    after = {path.name: path.read_bytes() for path in store.parent.iterdir() if not path.name.endswith("-shm")}
    assert after == before
    node.server.start()
    assert _verify(store)[0] == 0


def test_a_flipped_bit_in_a_value_is_found_and_not_answered(filled: tuple[Node, Path]) -> None:
    """The damaged key's calls fail in words; its neighbours in the same group, and all other keys, are served."""
    node, store = filled
    _fold(store)
    at = store.read_bytes().index(b"k3" + VALUE.encode())
    _flip(store, at + 8)
    code, said = _verify(store)
    assert (code, "key 'k3': its value does not match its checksum" in said) == (1, True), said
    node.server.start()
    for method, params in (("kv.get", {}), ("kv.append", {"value": "x"}), ("kv.put", {"value": "x"})):
        answer = node.kv.call(method, key="k3", **params)
        assert answer.error is not None, method
        assert (answer.code, "the store is damaged" in answer.error["message"]) == (-32603, True)
    assert node.kv.call("kv.list", prefix="k").code == -32603
    session = node.kv.open()
    batch = [
        {"jsonrpc": "2.0", "id": n, "method": "kv.append",
         "params": {"key": key, "value": "x", "_meta": {"session": session.name, "seq": n}}}
        for n, key in enumerate(("k2", "k3", "k4"), 1)
    ]  # fmt: skip
    assert [answer.code for answer in node.kv.send(batch).answers] == [None, -32603, None]
    assert node.kv.get("k4") == (VALUE + "x", 2)


def test_a_flipped_bit_in_a_record_is_found_and_not_replayed(fresh: Callable[..., Node]) -> None:
    """The retry neither runs again nor gets a reply that was never given."""
    node = fresh()
    session = node.kv.open()
    session.do(1, "kv.append", key="k", value=VALUE)
    node.kv.keyed("order-17", "kv.append", key="keyed", value=VALUE)
    node.server.kill()
    store = node.server.data_dir / "kv.db"
    with contextlib.closing(sqlite3.connect(store)) as db:
        (answer,) = db.execute("SELECT answer FROM record").fetchone()
        (body,) = db.execute("SELECT body FROM keyed").fetchone()
        db.execute("UPDATE record SET answer = ?", (answer.replace(b"1", b"2", 1),))
        db.execute("UPDATE keyed SET body = ?", (body.replace(b"1", b"2", 1),))
        db.commit()
    code, said = _verify(store)
    assert (code, said.count("does not match its checksum")) == (1, 2), said
    node.server.start()
    for answer in (
        session.do(1, "kv.append", key="k", value=VALUE),
        node.kv.keyed("order-17", "kv.append", key="keyed", value=VALUE),
    ):
        assert answer.error is not None
        assert "the store is damaged" in answer.error["message"]
    assert (node.kv.get("k"), node.kv.get("keyed")) == ((VALUE, 1), (VALUE, 1))


def test_a_flipped_bit_in_the_log_does_not_lose_what_stands_behind_it(filled: tuple[Node, Path]) -> None:
    """SQLite would pass over it in silence; the server does not start, and changes nothing."""
    node, store = filled
    log = Path(f"{store}-wal")
    _flip(log, log.read_bytes().index(b"k3" + VALUE.encode()) + 8)
    before = log.read_bytes(), store.read_bytes()
    code, said = _verify(store)
    assert (code, "its log is damaged at frame" in said) == (1, True), said
    _refuses_to_start(node.server, "its log is damaged at frame")
    assert (log.read_bytes(), store.read_bytes()) == before
    _flip(log, 16)  # a salt in the header: SQLite would take the whole log for none
    _refuses_to_start(node.server, "the header of its log is damaged")


def test_a_torn_last_transaction_is_no_damage(filled: tuple[Node, Path]) -> None:
    """A power failure leaves half a transaction that nobody was told of."""
    node, store = filled
    log = Path(f"{store}-wal")
    (page,) = struct.unpack(">I", log.read_bytes()[8:12])
    log.write_bytes(log.read_bytes()[: -page // 2])
    assert _verify(store)[0] == 0
    node.server.start()
    assert node.kv.get("k1") == (VALUE, 1)


def test_a_store_cut_short_is_refused(filled: tuple[Node, Path]) -> None:
    """Half of the file is gone: verify says so, and no call is answered with what is left of it."""
    node, store = filled
    _fold(store)
    store.write_bytes(store.read_bytes()[: store.stat().st_size // 2])
    code, said = _verify(store)
    assert code == 1, said
    with contextlib.suppress(ServerError):
        node.server.start()
        answers = [node.kv.call("kv.get", key=f"k{n}") for n in range(1, CALLS + 1)]
        assert all(answer.error is not None or answer.ok["value"] == VALUE for answer in answers)
    assert "Traceback" not in node.server.log_tail()


def test_an_older_file_in_the_place_of_a_running_store_is_noticed(fresh: Callable[..., Node]) -> None:
    """Whoever swaps it is refused at the next call, and readiness says why."""
    node = fresh()
    store = node.server.data_dir / "kv.db"
    node.kv.ok("kv.append", key="k", value="x")
    older = store.with_name("older.db")
    with contextlib.closing(sqlite3.connect(store)) as db, contextlib.closing(sqlite3.connect(older)) as copy:
        db.backup(copy)
    node.kv.ok("kv.append", key="k", value="y")
    older.rename(store)
    for method in ("kv.append", "kv.get"):
        answer = node.kv.call(method, key="k", **({"value": "z"} if method == "kv.append" else {}))
        assert (answer.code, answer.status) == (11, 503)
    assert b"was replaced" in node.kv.fetch("GET", "/readyz").body


def test_a_store_copied_by_hand_while_it_runs_is_sound_or_refused(fresh: Callable[..., Node], tmp_path: Path) -> None:
    """`cp` of a running store, without its log: what is missing is missing as a whole, and never half there."""
    node = fresh()
    session = node.kv.open()
    for seq in range(1, CALLS + 1):
        session.do(seq, "kv.append", key="k", value=f"[{seq}]")
    copied = tmp_path / "copied"
    copied.mkdir()
    shutil.copy(node.server.data_dir / "kv.db", copied / "kv.db")
    if _verify(copied / "kv.db")[0] == 0:
        with LocalServer(copied) as other, contextlib.closing(Caller(other.url)) as kv:
            answer = kv.call("kv.get", key="k")
            assert (answer.ok["value"] or "") == "".join(f"[{n}]" for n in range(1, answer.ok["version"] + 1))


@pytest.mark.parametrize("words", [["sqlite:////no/such.db"], ["postgresql://u@h/d"], ["nothing"]])
@pytest.mark.parametrize("command", ["verify", "backup"])
def test_wrong_words_are_told_in_one_line(command: str, words: list[str], tmp_path: Path) -> None:
    """Exit 2, the cause, no traceback."""
    done = oncekv(command, *words, *([str(tmp_path / "b")] if command == "backup" else []))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
