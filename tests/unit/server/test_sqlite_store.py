"""The SQLite store's files, its URL, and what becomes of a transaction that cannot be ended."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from oncekv.server.config import Config, StartupError, UsageError
from oncekv.server.engine.storage import check_url, open_store, sqlite
from oncekv.server.engine.storage.base import Changes, Row, StoreBusy, StoreFailed, StoreRefused
from oncekv.server.engine.storage.sqlite import SqliteStore
from oncekv.server.engine.storage.sqlite_files import check_rights, make_file
from oncekv.server.readiness import PAUSE_S, Readiness
from oncekv.server.wiring import make_components


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store is."""
    return tmp_path / "data" / "kv.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    """An open store of this test's own, with one key and one reader."""
    store = open_store(f"sqlite:///{path}")
    assert isinstance(store, SqliteStore)
    put(store, "before")
    assert value(store) == "before"
    yield store
    store.close()


def put(store: SqliteStore, text: str) -> None:
    """Commit a value of the one key."""
    with store.write() as writer:
        writer.apply(Changes(rows={"k": Row(text, 1)}))


def value(store: SqliteStore) -> str | None:
    """The value of the one key, as a reader sees it."""
    with store.read() as reader:
        row = reader.row("k")
    return row.value if row else None


def _remove(path: Path) -> None:
    path.unlink()


def _move(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))


def _replace(path: Path) -> None:
    other = path.with_name("other.db")
    open_store(f"sqlite:///{other}").close()
    other.rename(path)


def _replace_by_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _remove_the_log(path: Path) -> None:
    Path(f"{path}-wal").unlink()


def _replace_the_log(path: Path) -> None:
    Path(f"{path}-wal").rename(path.with_name("old-log"))
    Path(f"{path}-wal").touch()


def _remove_the_index(path: Path) -> None:
    Path(f"{path}-shm").unlink()


def _move_the_folder(path: Path) -> None:
    path.parent.rename(path.parent.with_name("elsewhere"))


LOSSES = [
    _remove,
    _move,
    _replace,
    _replace_by_a_folder,
    _remove_the_log,
    _replace_the_log,
    _remove_the_index,
    _move_the_folder,
]


@pytest.mark.parametrize("lose", LOSSES)
def test_a_store_that_is_lost_takes_and_gives_nothing(
    store: SqliteStore, path: Path, lose: Callable[[Path], None]
) -> None:
    """Writes are refused before they begin, reads too, with a connection at hand and without; nothing is made anew."""
    lose(path)
    left = {place: place.stat().st_size for place in sorted(path.parent.parent.rglob("*"))}
    for _ in range(3):  # more than there are readers at hand
        with pytest.raises(StoreRefused):
            put(store, "lost")
        with pytest.raises(StoreRefused):
            value(store)
        with pytest.raises(StoreRefused):
            store.check(writes=True)
        with pytest.raises(StoreRefused):
            store.check(writes=False)
    assert {place: place.stat().st_size for place in sorted(path.parent.parent.rglob("*"))} == left


@pytest.mark.parametrize("lose", LOSSES)
def test_a_store_that_is_lost_in_the_middle_of_a_commit_says_so(
    store: SqliteStore, path: Path, lose: Callable[[Path], None]
) -> None:
    """It was in its place when the transaction began; nobody can tell who will find it, so it is not called done."""

    def put_and_lose() -> None:
        with store.write() as writer:
            writer.apply(Changes(rows={"k": Row("lost", 1)}))
            lose(path)

    with pytest.raises(StoreFailed):
        put_and_lose()


def test_a_store_that_comes_back_goes_on(store: SqliteStore, path: Path) -> None:
    """The same file in its place again: the same connections read and write it."""
    away = path.with_name("away")
    path.rename(away)
    with pytest.raises(StoreRefused):
        put(store, "lost")
    with pytest.raises(StoreRefused):
        value(store)
    away.rename(path)
    put(store, "after")
    assert value(store) == "after"
    store.check(writes=True)


def test_a_link_is_followed(tmp_path: Path) -> None:
    """The log stands beside the file and not beside the link; a link that leads elsewhere is a store that is lost."""
    link = tmp_path / "link.db"
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    link.symlink_to(tmp_path / "one" / "kv.db")
    store = open_store(f"sqlite:///{link}")
    assert isinstance(store, SqliteStore)
    put(store, "one")
    link.unlink()
    link.symlink_to(tmp_path / "two" / "kv.db")
    open_store(f"sqlite:///{link}").close()
    with pytest.raises(StoreRefused):
        put(store, "lost")
    store.close()


def test_what_a_removed_log_held_is_written_back_when_the_store_is_closed(store: SqliteStore, path: Path) -> None:
    """So a server that is told to end loses nothing that it acknowledged; after SIGKILL it would."""
    put(store, "acknowledged")
    _remove_the_log(path)
    with pytest.raises(StoreRefused):
        put(store, "refused")
    store.close()
    again = open_store(f"sqlite:///{path}")
    assert isinstance(again, SqliteStore)
    assert value(again) == "acknowledged"
    again.close()


class Stubborn:
    """A connection whose transaction cannot be rolled back."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.close = connection.close
        self.executemany = connection.executemany

    @property
    def in_transaction(self) -> bool:
        """As it is."""
        return self._connection.in_transaction

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        """All but a rollback."""
        if sql == "ROLLBACK":
            raise sqlite3.OperationalError("disk I/O error")
        return self._connection.execute(sql, parameters)


@pytest.mark.parametrize("has_reader", [True, False])
def test_a_rollback_that_fails_does_not_hold_the_store(path: Path, has_reader: bool) -> None:
    """The connection is closed, and with it the transaction; the next one goes on, and so may other processes."""
    store, other = open_store(f"sqlite:///{path}"), None
    assert isinstance(store, SqliteStore)
    if has_reader:
        value(store)
    store._writer = Stubborn(store._writer)  # type: ignore[assignment, arg-type]  # on purpose

    def fail() -> None:
        with store.write() as writer:
            writer.apply(Changes(rows={"k": Row("half", 1)}))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    other = open_store(f"sqlite:///{path}")
    assert isinstance(other, SqliteStore)
    assert value(other) is None
    put(other, "other")
    put(store, "after")
    assert value(store) == "after"
    other.close()
    store.close()


def test_a_store_that_is_lost_while_the_writer_has_no_connection_is_not_made_anew(path: Path) -> None:
    """The same as above, and the file was replaced meanwhile: it is not taken for the store."""
    store = open_store(f"sqlite:///{path}")
    assert isinstance(store, SqliteStore)
    store._writer = Stubborn(store._writer)  # type: ignore[assignment, arg-type]  # on purpose
    with contextlib.suppress(ZeroDivisionError), store.write():
        raise ZeroDivisionError
    _replace(path)
    with pytest.raises(StoreRefused):
        put(store, "lost")
    store.close()


def test_a_reader_whose_transaction_cannot_be_ended_is_not_used_again(store: SqliteStore) -> None:
    """Its snapshot would be what every later read sees."""
    (reader,) = store._readers
    store._readers[:] = [Stubborn(reader)]  # type: ignore[list-item]  # on purpose
    assert value(store) == "before"
    put(store, "after")
    assert value(store) == "after"


def test_what_sqlite_has_rolled_back_by_itself_is_not_written_in_pieces(store: SqliteStore) -> None:
    """After some errors of a read the transaction is over: what is then written would be committed row by row."""

    def lose_the_transaction() -> None:
        with store.write() as writer:
            writer._connection.execute("ROLLBACK")
            writer.apply(Changes(rows={"k": Row("in pieces", 1)}))

    with pytest.raises(StoreFailed):
        lose_the_transaction()
    assert value(store) == "before"


def _fill(store: SqliteStore) -> None:
    assert store._writer
    (pages,) = store._writer.execute("PRAGMA page_count").fetchone()
    store._writer.execute(f"PRAGMA max_page_count = {pages}")


def test_a_full_store_says_so_and_keeps_what_it_has(store: SqliteStore) -> None:
    """SQLite's own error becomes one that names the cause; what fits goes on."""
    _fill(store)
    with pytest.raises(StoreFailed, match="full"):
        put(store, "x" * 1_000_000)
    assert value(store) == "before"
    put(store, "fits")
    assert value(store) == "fits"


def test_a_bug_keeps_its_own_exception(store: SqliteStore) -> None:
    """What is no fault of the disk is no fault of the store: its traceback must be seen."""
    with pytest.raises(sqlite3.OperationalError, match="syntax"), store.write() as writer:
        writer._connection.execute("SELEC")


def test_another_process_that_holds_the_store(store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is busy, which is definite; for readiness it counts as written; and a start says who is in the way."""
    assert store._writer
    store._writer.execute("PRAGMA busy_timeout = 0")
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 0.0)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusy):
            put(store, "x")
        store.check(writes=True)
        assert value(store) == "before"


def test_readiness_writes_at_most_once_in_a_while(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it is asked; what it found holds until then, good and bad, and its place is looked at each time."""
    now_s, found = 100.0, StoreFailed("database or disk is full")
    writes: list[float] = []
    check = store.check

    def checked(*, writes: bool) -> None:
        if writes:
            log.append(now_s)
            if error:
                raise error
        check(writes=writes)

    log = writes
    error: StoreFailed | None = None
    monkeypatch.setattr(store, "check", checked)
    readiness = Readiness(store, lambda: now_s)
    assert [readiness.fault() for _ in range(5)] == [""] * 5
    error = found
    assert readiness.fault() == ""
    now_s += PAUSE_S
    assert [readiness.fault() for _ in range(5)] == ["the store cannot be written: database or disk is full"] * 5
    error = None
    now_s += PAUSE_S
    assert readiness.fault() == ""
    assert log == [100.0, 100.0 + PAUSE_S, 100.0 + 2 * PAUSE_S]


def test_readiness_tells_what_is_lost_at_once(store: SqliteStore, path: Path) -> None:
    """That costs no write: the very next question is answered right, also when it is back."""
    readiness = Readiness(store, lambda: 0.0)
    assert readiness.fault() == ""
    path.rename(path.with_name("away"))
    assert "not there" in readiness.fault()
    path.with_name("away").rename(path)
    assert readiness.fault() == ""


def test_metrics_outlive_the_store(store: SqliteStore, path: Path) -> None:
    """The counters of the process are still told; what the store counts is left out, not made up."""
    components = make_components(Config(store_url=""), store, 1, None)
    assert b"\noncekv_sessions 0.0" in components.metrics.text()
    path.unlink()
    text = components.metrics.text()
    assert b"oncekv_commit_groups_total" in text
    assert b"\noncekv_sessions " not in text


PASSWORD = "tomato-soup"
WRONG_URLS = [
    "", "kv.db", "/data/kv.db", "sqlite", "sqlite:", "sqlite:kv.db", "sqlite:/kv.db", "sqlite://", "sqlite:///",
    "sqlite:////", "sqlite://host/kv.db", f"sqlite://u:{PASSWORD}@host/kv.db", "sqlite:///dir/", "sqlite:///..",
    "sqlite:///dir/..", "sqlite:///:memory:", "sqlite:///a%00b", "sqlite:///kv.db?mode=ro", "sqlite:///kv.db#x",
    "sqlite:///50%.db", "sqlite:///a%zz", "sqlite:///a%4", "://", ":///kv.db", f"mysql://u:{PASSWORD}@host/db",
    f"u:{PASSWORD}@host://x", f"postgresql:u:{PASSWORD}@host", f"postgresql//u:{PASSWORD}@host/db", "etcdx://host:2379",
    "base:///x", "sqlite_view:///x", "bulk:///x", "sqlite ://x", "file:///kv.db",
]  # fmt: skip


@pytest.mark.parametrize("url", WRONG_URLS)
def test_a_url_that_cannot_be_understood(url: str) -> None:
    """Of an unknown scheme or form: wrong usage, on one line, and nothing of it that may be secret."""
    with pytest.raises(UsageError) as caught:
        check_url(url)
    (line,) = str(caught.value).splitlines()
    assert "sqlite://" in line
    assert PASSWORD not in line
    with pytest.raises(UsageError):
        open_store(url)


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("kv.db", "kv.db"), ("a%41x", "aAx"), ("pct%2541x", "pct%41x"), ("50%25.db", "50%.db"), ("a%20b c", "a b c"),
        ("a%3Fb%23c", "a?b#c"), ("a+b", "a+b"), ("\u00e9%C3%A9", "\u00e9\u00e9"), ("%ff", os.fsdecode(b"\xff")),
        ("a%0Ab", "a\nb"),
    ],
)  # fmt: skip
def test_a_path_is_percent_encoded(tmp_path: Path, written: str, name: str) -> None:
    """Whatever a file may be called can be written, and is opened under that very name."""
    check_url(f"SQLite:///{tmp_path}/{written}")
    store = open_store(f"sqlite:///{tmp_path}/{written}")
    store.close()
    assert os.listdir(tmp_path) == [name]


def test_a_relative_path_holds_where_the_server_was_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who changes the working directory later does not move the store."""
    monkeypatch.chdir(tmp_path)
    store = open_store("sqlite:///sub/kv.db")
    assert isinstance(store, SqliteStore)
    monkeypatch.chdir("/")
    put(store, "x")
    assert value(store) == "x"
    store.close()
    assert os.listdir(tmp_path / "sub") == ["kv.db"]


def test_a_start_that_fails_as_it_counts_itself_leaves_nothing(tmp_path: Path) -> None:
    """A new store whose first write finds no room is taken away again, with the folders made for it."""
    store = open_store(f"sqlite:///{tmp_path}/a/b/kv.db")
    assert isinstance(store, SqliteStore)
    assert store._writer
    store._writer.execute("PRAGMA query_only = 1")
    with pytest.raises(StartupError):
        store.boot()
    assert os.listdir(tmp_path) == []


def test_a_start_that_fails_leaves_an_old_store_as_it_was(path: Path) -> None:
    """What was there before stays."""
    open_store(f"sqlite:///{path}").close()
    before = path.read_bytes()
    store = open_store(f"sqlite:///{path}")
    assert isinstance(store, SqliteStore)
    assert store._writer
    store._writer.execute("PRAGMA query_only = 1")
    with pytest.raises(StartupError):
        store.boot()
    assert os.listdir(path.parent) == ["kv.db"]
    assert path.read_bytes() == before


def test_a_start_beside_another_never_takes_its_store_away(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two start on a new store, and one holds it: the other one gives up, and the store stays."""
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 0.0)
    with contextlib.ExitStack() as stack:

        def hold(folder: Path) -> bool:
            made = make_file(folder)
            other = stack.enter_context(contextlib.closing(sqlite3.connect(path, isolation_level=None)))
            other.execute("BEGIN IMMEDIATE")
            return made

        monkeypatch.setattr(sqlite, "make_file", hold)
        with pytest.raises(StartupError, match="another process"):
            open_store(f"sqlite:///{path}")
        assert path.exists()


def test_a_log_that_another_process_removes_meanwhile_is_no_lack_of_rights(
    store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who closes a store last removes its log; a start that looks at the log at that moment is not refused."""
    real, log = os.access, path.with_name("kv.db-wal")

    def access(place: str, mode: int) -> bool:
        if place.endswith("-wal"):
            log.unlink()
        return real(place, mode)

    assert log.exists()
    monkeypatch.setattr(os, "access", access)
    check_rights(path)
    assert not log.exists()
