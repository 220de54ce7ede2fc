"""Section 7: a store that cannot be written is refused at the start, in one line, with nothing left behind."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chaos.runtime.local import LocalServer, oncekv_command
from tests.support.disks import SmallDisk

LISTEN = ["--listen", "127.0.0.1:0"]
LONG = "x" * 300
LAYOUTS = [[], ["--writer", "process"], ["--workers", "2"]]
# root may write everywhere: these tests mean a user who may not, and take that right from it
AS_ANY_USER = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []


def serve(store: str | Path, layout: list[str]) -> subprocess.CompletedProcess[str]:
    """`oncekv serve` where it must fail; it ends by itself."""
    words = [*AS_ANY_USER, *oncekv_command(), "serve", *LISTEN, "--store", str(store), *layout]
    return subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)


def refused(done: subprocess.CompletedProcess[str], code: int, *names: str) -> None:
    """One line that names the cause, and nothing else."""
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("oncekv serve: ")
    for name in names:
        assert name in done.stderr


def left(folder: Path) -> dict[str, bytes]:
    """All that is there."""
    return {str(path): path.read_bytes() if path.is_file() else b"" for path in sorted(folder.rglob("*"))}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The file of a store that was served and ended well."""
    with LocalServer(tmp_path_factory.mktemp("served") / "data") as server:
        assert server.stop() == 0
    return (server.data_dir / "kv.db").read_bytes()


@pytest.fixture
def store(tmp_path: Path, served: bytes) -> Path:
    """Such a store, in a folder of its own."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "kv.db").write_bytes(served)
    return folder / "kv.db"


def _file_read_only(store: Path) -> None:
    store.chmod(0o444)


def _file_without_rights(store: Path) -> None:
    store.chmod(0)


def _folder_read_only(store: Path) -> None:
    store.parent.chmod(0o555)


def _folder_without_rights(store: Path) -> None:
    store.parent.chmod(0)


def _log_read_only(store: Path) -> None:
    Path(f"{store}-wal").touch(0o444)


def _index_read_only(store: Path) -> None:
    Path(f"{store}-shm").touch(0o444)


def _journal_read_only(store: Path) -> None:
    Path(f"{store}-journal").touch(0o444)


def _no_database(store: Path) -> None:
    store.write_text("These are my notes.\n" * 500)


def _cut_off(store: Path) -> None:
    os.truncate(store, 5000)


def _overwritten(store: Path) -> None:
    content = store.read_bytes()
    store.write_bytes(content[:100] + b"\xff" * (len(content) - 100))


def _table_missing(store: Path) -> None:
    database = sqlite3.connect(store)
    database.execute("DROP TABLE tally")
    database.close()


def _table_empty(store: Path) -> None:
    database = sqlite3.connect(store, isolation_level=None)
    database.execute("DELETE FROM tally")
    database.close()


SPOILERS = [
    _file_read_only, _file_without_rights, _folder_read_only, _folder_without_rights, _log_read_only, _index_read_only,
    _journal_read_only, _no_database, _cut_off, _overwritten, _table_missing, _table_empty,
]  # fmt: skip


@pytest.mark.parametrize("spoil", SPOILERS)
def test_a_store_that_cannot_be_used(store: Path, spoil: Callable[[Path], None]) -> None:
    """Whatever is wrong with a store that is there: one line that names it, exit 1, and it stays as it was."""
    spoil(store)
    before = left(store.parent.parent)
    done = serve(f"sqlite:///{store}", [])
    assert left(store.parent.parent) == before
    store.parent.chmod(0o755)
    refused(done, 1, str(store))


@pytest.mark.parametrize("layout", LAYOUTS, ids=" ".join)
def test_every_process_layout_refuses_it_alike(store: Path, layout: list[str]) -> None:
    """It is found out before anything is forked."""
    store.chmod(0o444)
    refused(serve(f"sqlite:///{store}", layout), 1, str(store))
    assert os.listdir(store.parent) == ["kv.db"]


@pytest.mark.parametrize(
    "place", ["kv.db", "new/kv.db", "file/kv.db", "file/new/kv.db", "x" * 300, "x" * 300 + "/kv.db"]
)
def test_a_place_where_no_store_can_be_made(tmp_path: Path, place: str) -> None:
    """A folder that is missing and cannot be made, that is none, or a name too long: one line, and nothing is made."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file").touch()
    folder.chmod(0o755 if place.startswith("file") else 0o555)
    refused(serve(f"sqlite:///{folder}/{place}", []), 1, str(folder))
    assert os.listdir(folder) == ["file"]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[int], SmallDisk]]:
    """Mounts small disks of this test's own."""
    with contextlib.ExitStack() as stack:

        def mount(kib: int) -> SmallDisk:
            disk = SmallDisk(tmp_path / "disk", kib)
            stack.callback(disk.close)
            return disk

        yield mount


@pytest.mark.parametrize("layout", LAYOUTS, ids=" ".join)
@pytest.mark.parametrize("kib", [4, 36, 64])
def test_a_disk_that_is_full_at_the_start(disk: Callable[[int], SmallDisk], kib: int, layout: list[str]) -> None:
    """No room for the schema, for the log, or for its index: one line that says so, and no half-made store is left."""
    folder = disk(kib).folder
    refused(serve(f"sqlite:///{folder}/sub/kv.db", layout), 1, str(folder), "has room")
    assert os.listdir(folder) == []


@pytest.mark.parametrize("layout", LAYOUTS, ids=" ".join)
def test_a_disk_that_may_only_be_read(disk: Callable[[int], SmallDisk], store: Path, layout: list[str]) -> None:
    """Mounted read-only: as any store that may not be written."""
    mounted = disk(1000)
    folder = mounted.folder
    (folder / "kv.db").write_bytes(store.read_bytes())
    mounted.make_read_only()
    refused(serve(f"sqlite:///{folder}/kv.db", layout), 1, str(folder))
    refused(serve(f"sqlite:///{folder}/new.db", layout), 1, str(folder))
    assert os.listdir(folder) == ["kv.db"]


@pytest.mark.parametrize("layout", LAYOUTS, ids=" ".join)
@pytest.mark.parametrize(
    "url",
    ["kv.db", "sqlite:kv.db", "sqlite:///", "sqlite://host/kv.db", "sqlite:////tmp/never/", "sqlite:////tmp/never/k?a=b",
     "mysql://u:tomato-soup@host/db", "nosuchengine:////tmp/never"],
)  # fmt: skip
def test_a_url_of_an_unknown_form_is_wrong_usage(url: str, layout: list[str]) -> None:
    """Exit 2 as for any wrong command line, in one line that shows no password."""
    done = serve(url, layout)
    refused(done, 2, "sqlite://")
    assert "tomato" not in done.stderr
    assert not os.path.exists("/tmp/never")
