"""A store that is removed, replaced or full under a running server: nothing is acknowledged that nobody will find."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chaos.runtime.local import LocalServer
from tests.support.caller import Caller, Session
from tests.support.disks import SmallDisk
from tests.support.server import Node
from tests.support.waiting import until

LAYOUTS = [
    pytest.param({"model": "threads"}, id="threads"),
    pytest.param({"model": "event-loop"}, id="event-loop"),
    pytest.param({"model": "event-loop --writer process"}, id="writer process"),
    pytest.param({"model": "threads", "workers": 2}, id="two workers"),
]
pytestmark = pytest.mark.parametrize("layout", LAYOUTS)
LONG = "b" * 50_000


def _remove(store: Path) -> None:
    store.unlink()


def _replace(store: Path) -> None:
    other = store.with_name("other.db")
    other.touch()
    other.rename(store)


def _remove_the_log(store: Path) -> None:
    Path(f"{store}-wal").unlink()


def _move_the_folder(store: Path) -> None:
    store.parent.rename(store.parent.with_name("elsewhere"))


def _refused(session: Session, seq: int) -> None:
    """A write and a read: HTTP 503, and definite."""
    for answer in (session.do(seq, "kv.append", key="k", value="x"), session.kv.call("kv.get", key="k")):
        assert answer.error is not None
        assert (answer.code, answer.error["data"]["definite"], answer.status) == (11, True, 503)


def _not_ready(kv: Caller, why: str) -> None:
    reply = kv.fetch("GET", "/readyz")
    assert (reply.status, why in reply.body.decode()) == (503, True), reply.body
    assert kv.fetch("GET", "/healthz").status == 200
    assert kv.fetch("GET", "/metrics").status == 200


@pytest.mark.parametrize("lose", [_remove, _replace, _remove_the_log, _move_the_folder])
def test_a_lost_store_is_noticed_at_the_next_call(
    fresh: Callable[..., Node], layout: dict[str, object], lose: Callable[[Path], None]
) -> None:
    """Writes and reads are refused, readiness says why, nothing is made in its place, and the log is no flood."""
    node = fresh(**layout)
    session, store = node.kv.open(), node.server.data_dir / "kv.db"
    assert session.do(1, "kv.append", key="k", value="x").ok == {"version": 1, "offset": 0}
    lose(store)
    there = {path: path.stat().st_ino for path in node.server.data_dir.parent.rglob("*.db*")}
    for _ in range(20):
        _refused(session, 2)
        _not_ready(node.kv, "the store's file")
    assert {path: path.stat().st_ino for path in node.server.data_dir.parent.rglob("*.db*")} == there
    log = node.server.log.read_text()
    assert "Traceback" not in log
    assert log.count("writes are refused") == 1
    assert node.server.stop() == 0


def test_a_store_that_comes_back_goes_on(fresh: Callable[..., Node], layout: dict[str, object]) -> None:
    """The same file in its place again: without a restart, and with all that was acknowledged."""
    node = fresh(**layout)
    session, store = node.kv.open(), node.server.data_dir / "kv.db"
    session.do(1, "kv.append", key="k", value="x")
    store.rename(store.with_name("away"))
    _refused(session, 2)
    store.with_name("away").rename(store)
    assert session.do(1, "kv.append", key="k", value="x").replayed
    assert session.do(2, "kv.append", key="k", value="y").ok == {"version": 2, "offset": 1}
    assert node.kv.fetch("GET", "/readyz").status == 200
    node.server.kill()
    node.server.start()
    assert node.kv.get("k") == ("xy", 2)


def test_an_orderly_end_keeps_what_a_removed_log_held(fresh: Callable[..., Node], layout: dict[str, object]) -> None:
    """What was acknowledged before is written back, and what came after was refused."""
    node = fresh(**layout)
    session = node.kv.open()
    session.do(1, "kv.append", key="k", value="x")
    _remove_the_log(node.server.data_dir / "kv.db")
    _refused(session, 2)
    assert node.server.stop() == 0
    node.server.start()
    assert session.do(1, "kv.append", key="k", value="x").replayed
    assert session.do(2, "kv.append", key="k", value="y").ok == {"version": 2, "offset": 1}


@pytest.fixture
def full(tmp_path: Path, layout: dict[str, object]) -> Iterator[tuple[LocalServer, Caller, SmallDisk]]:
    """A server on a disk of two megabytes."""
    disk = SmallDisk(tmp_path / "disk", 2048)
    words = ["--model", *str(layout["model"]).split()]
    with contextlib.ExitStack() as stack:
        stack.callback(disk.close)
        workers = 2 if "workers" in layout else 1
        server = stack.enter_context(LocalServer(disk.folder / "data", workers=workers, extra_args=words))
        kv = stack.enter_context(contextlib.closing(Caller(server.url)))
        yield server, kv, disk


def test_a_full_disk_is_said_refused_and_outlived(full: tuple[LocalServer, Caller, SmallDisk]) -> None:
    """The first loss is indefinite, then refusals are definite; replays and reads go on, and readiness tells."""
    server, kv, disk = full
    session = kv.open()
    first = session.do(1, "kv.append", key="k", value="a")
    disk.fill()
    failed = session.do(2, "kv.append", key="k", value=LONG)
    assert failed.error is not None
    assert (failed.code, failed.error["data"]["definite"]) == (-32603, False)
    for _ in range(3):
        refused = session.do(2, "kv.append", key="k", value=LONG)
        assert refused.error is not None
        assert (refused.code, refused.error["data"]["definite"], refused.status) == (11, True, 503)
        assert kv.get("k") == ("a", 1)
        assert session.do(1, "kv.append", key="k", value="a").bare == first.bare
    until(lambda: kv.fetch("GET", "/readyz").status == 503, what="not ready")
    assert "full" in kv.fetch("GET", "/readyz").body.decode()
    disk.make_room()
    assert session.do(2, "kv.append", key="k", value=LONG).ok == {"version": 2, "offset": 1}
    assert session.do(2, "kv.append", key="k", value=LONG).replayed
    until(lambda: kv.fetch("GET", "/readyz").status == 200, what="ready")
    server.kill()
    server.start()
    assert session.do(2, "kv.append", key="k", value=LONG).replayed
    assert kv.get("k") == ("a" + LONG, 2)


def test_a_full_disk_is_said_by_an_idle_server_too(full: tuple[LocalServer, Caller, SmallDisk]) -> None:
    """Nobody has written: it finds out when it is asked, and again when there is room."""
    server, kv, disk = full
    assert kv.fetch("GET", "/readyz").status == 200
    disk.fill()
    until(lambda: kv.fetch("GET", "/readyz").status == 503, what="not ready")
    disk.make_room()
    until(lambda: kv.fetch("GET", "/readyz").status == 200, what="ready")
    assert "Traceback" not in server.log.read_text()
