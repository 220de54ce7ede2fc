"""Section 7: the command line of `oncekv serve`: its one line on stdout, and what a wrong start gets."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
from functools import partial

import pytest

from chaos.runtime.local import ServerError, sqlite_url
from tests.support.server import oncekv, server_on, words_of
from tests.support.waiting import at_once

pytestmark = [pytest.mark.wire, pytest.mark.usefixtures("by_exec")]

LISTEN = ["--listen", "127.0.0.1:0"]


def one_line(done, *names):
    """The command failed with one line on stderr that names the cause, nothing on stdout, and no traceback."""
    assert done.returncode != 0
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    for name in names:
        assert name in done.stderr


def serve(store, *more, listen="127.0.0.1:0"):
    """`oncekv serve` where it must fail; it ends by itself."""
    return oncekv("serve", "--listen", listen, "--store", sqlite_url(store), *more)


@pytest.mark.parametrize("workers", [1, 2])
def test_one_ready_line(tmp_path, workers, model):
    """stdout gets one JSON line when the server can serve, and never anything else; logs go to stderr."""
    with server_on(model, tmp_path / "data", workers=workers) as server:
        assert os.getpgid(server.pid) == server.members()[0] or server.pid in server.members()
        with socket.create_connection(("127.0.0.1", server.port), 5):
            pass
        assert server.stop() == 0
    assert server.stdout.endswith(b"\n")
    assert server.stdout.count(b"\n") == 1
    ready = json.loads(server.stdout)
    assert ready == {"event": "ready", "url": f"http://127.0.0.1:{server.port}", "pid": server.pid, "boot": server.boot}
    assert server.port > 0
    assert server.members() == []


@pytest.mark.parametrize(
    "words",
    [
        ["serve", "--help"],
        ["call", "--help"],
        ["--help"],
    ],
    ids=" ".join,
)
def test_help(words):
    """Every command has --help, on stdout, with exit 0."""
    done = oncekv(*words)
    assert done.returncode == 0
    assert "usage" in done.stdout.lower()


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["nothing"],
        ["--nothing"],
        ["serve"],
        ["serve", *LISTEN],
        ["serve", "--nothing"],
        ["serve", *LISTEN, "--store", "sqlite:////tmp/never/kv.db", "--delivery", "eternal"],
        ["serve", *LISTEN, "--store", "sqlite:////tmp/never/kv.db", "--workers", "many"],
        ["serve", *LISTEN, "--store", "sqlite:////tmp/never/kv.db", "--model", "coroutines"],
        ["serve", *LISTEN, "--store", "sqlite:////tmp/never/kv.db", "--lease-ms", "long"],
        ["serve", *LISTEN, "--store", "sqlite:////tmp/never/kv.db", "--sessions-max", "x"],
        ["serve", *LISTEN, "--store", "sqlite:////tmp/never/kv.db", "--queue-max", "x"],
        ["serve", *LISTEN, "--store", "sqlite:////tmp/never/kv.db", "surplus"],
        ["serve", "--listen", "nowhere", "--store", "sqlite:////tmp/never/kv.db"],
        ["serve", "--listen", "127.0.0.1:port", "--store", "sqlite:////tmp/never/kv.db"],
        ["serve", "--listen", "127.0.0.1:99999", "--store", "sqlite:////tmp/never/kv.db"],
        ["call"],
        ["call", "kv.get"],
        ["call", "kv.get", "key=k"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_exit_2(words):
    """A wrong command line exits 2, says why on stderr, and prints nothing on stdout; nothing was started or made."""
    done = oncekv(*words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.strip()
    assert "Traceback" not in done.stderr
    assert not os.path.exists("/tmp/never")


def test_an_unknown_delivery_is_named(tmp_path):
    """An unknown delivery is refused with one line that names it."""
    one_line(serve(tmp_path / "kv.db", "--delivery", "eternal"), "eternal")


def test_a_busy_port_is_named(tmp_path):
    """A port that another program has is refused with one line that names it."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        one_line(serve(tmp_path / "kv.db", listen=f"127.0.0.1:{port}"), str(port))


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_port_of_another_oncekv_is_busy(node, tmp_path, workers, model):
    """Two servers never share a port by accident: half of the calls would go to the wrong store."""
    port = node.server.port
    one_line(
        serve(tmp_path / "kv.db", "--workers", workers, *words_of(model, int(workers)), listen=f"127.0.0.1:{port}"),
        str(port),
    )
    assert node.kv.ok("server.info")["boot"] == node.server.boot


@pytest.mark.parametrize("attempt", range(3))
def test_of_two_starts_on_one_port_one_wins(tmp_path, attempt, model):
    """Two servers that are started on one port at the same moment do not share it either: one serves, one says why."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    servers = [server_on(model, tmp_path / name, port=port) for name in ("left", "right")]

    def start(server):
        try:
            server.start()
        except ServerError as error:
            return str(error)
        return "ready"

    try:
        ready, refused = sorted(at_once([partial(start, server) for server in servers]), key=len)
    finally:
        for server in servers:
            server.kill()
    assert ready == "ready"
    assert f":{port}" in refused


def test_a_file_that_is_no_database_is_left_alone(tmp_path):
    """A store path that holds something else is refused with one line that names it, and is not touched."""
    store = tmp_path / "kv.db"
    store.write_text("These are my notes; please do not overwrite them.\n" * 100)
    before = store.read_bytes()
    one_line(serve(store), str(store))
    assert store.read_bytes() == before
    assert os.listdir(tmp_path) == ["kv.db"]


def test_another_programs_database_is_left_alone(tmp_path):
    """A SQLite database of another program is refused with one line that names it, and stays as it was."""
    store = tmp_path / "kv.db"
    with sqlite3.connect(store) as database:
        database.execute("CREATE TABLE notes (text)")
        database.execute("INSERT INTO notes VALUES ('mine')")
    database.close()
    before = store.read_bytes()
    one_line(serve(store), str(store))
    assert store.read_bytes() == before


@pytest.mark.parametrize("place", ["under-a-file", "a-directory", "proc"])
def test_a_place_where_nothing_can_be_written(tmp_path, place):
    """A store that cannot be made is refused with one line that names it."""
    (tmp_path / "file").write_text("")
    (tmp_path / "directory").mkdir()
    store = {
        "under-a-file": tmp_path / "file" / "kv.db",
        "a-directory": tmp_path / "directory",
        "proc": "/proc/oncekv/kv.db",
    }[place]
    one_line(serve(store), str(store) if place == "a-directory" else os.path.dirname(store))


def test_an_unknown_engine_is_named():
    """A store of an engine that nobody knows is refused with one line that names it."""
    one_line(oncekv("serve", *LISTEN, "--store", "nosuchengine:///tmp/never"), "nosuchengine")


def test_a_missing_token_file_is_named(tmp_path):
    """A token file that is not there is refused with one line, and never means 'no tokens'."""
    one_line(serve(tmp_path / "kv.db", "--token-file", str(tmp_path / "no-tokens")), "no-tokens")
