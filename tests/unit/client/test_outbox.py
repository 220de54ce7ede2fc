import os
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing

import pytest

from oncekv.client import connect
from oncerpc.client.session import outbox as module
from oncerpc.client.session.ledger import Ledger
from oncerpc.client.session.outbox import APPLICATION_ID, Entry, Outbox, OutboxBusy, OutboxError
from oncerpc.client.session.session import Epoch, Identity

EPOCH = Epoch("key-1", Ledger(), "s" * 22)
PLANNED = Epoch("key-2", Ledger())
IDENTITY = Identity(PLANNED, 1)


@pytest.fixture
def path(tmp_path):
    """Where the outbox is."""
    return tmp_path / "outbox.db"


def identity(seq):
    """The identity of a call on the open session."""
    return Identity(EPOCH, seq)


def test_a_call_is_there_for_the_next_process_until_it_is_settled(path):
    """Each with its identity, in order; the session's name is there once an attempt may have left, and else is not."""
    with closing(Outbox(path)) as box:
        ids = box.put(
            [("kv.append", b'{"key":"k"}', identity(seq)) for seq in (1, 2)] + [("kv.put", b"{}", IDENTITY)] * 2
        )
        box.settle([ids[0]])
        box.unsend([ids[1]])
        box.assign([(ids[3], identity(7))])
    with closing(Outbox(path)) as box:
        assert box.load() == box.entries()
        assert box.entries() == [
            Entry(ids[1], "key-1", None, 2, "kv.append", b'{"key":"k"}'),
            Entry(ids[2], "key-2", None, 1, "kv.put", b"{}"),
            Entry(ids[3], "key-1", EPOCH.name, 7, "kv.put", b"{}"),
        ]


OF_THE_FIRST_RELEASE = """
CREATE TABLE session (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), name TEXT,
    seq_window INTEGER NOT NULL DEFAULT 1, next_seq INTEGER NOT NULL DEFAULT 1, open_key TEXT,
    calls_begun INTEGER NOT NULL DEFAULT 0);
CREATE TABLE calls (id INTEGER PRIMARY KEY AUTOINCREMENT, session TEXT, seq INTEGER, method TEXT NOT NULL,
    params TEXT NOT NULL);
INSERT INTO session VALUES (1, 'old-session', 1024, 9, NULL, 12);
INSERT INTO calls VALUES (7, 'old-session', 5, 'kv.put', '{}'), (8, 'old-session', 8, 'kv.put', '{}'),
    (9, NULL, NULL, 'kv.put', '{}'), (12, NULL, NULL, 'kv.put', '{}');
PRAGMA application_id = 1330337359; PRAGMA user_version = 1
"""


def test_an_outbox_of_the_first_release_is_taken_up(path):
    """Its calls keep their identities, those without one get one each, and what is put in later stands behind them."""
    with closing(sqlite3.connect(path)) as old:
        old.executescript(OF_THE_FIRST_RELEASE)
    for _ in range(2):
        with closing(Outbox(path)) as box:
            entries = box.load()
            assert [(one.id, one.session, one.seq) for one in entries] == [
                (7, "old-session", 5), (8, "old-session", 8), (9, None, 1), (12, None, 1),
            ]  # fmt: skip
            assert len({one.key for one in entries}) == 3
            assert box.calls_begun == 12
    with closing(Outbox(path)) as box:
        assert box.put([("kv.put", b"{}", IDENTITY)]) == [13]


def test_calls_begun_counts_every_call_ever_put_in(path):
    """The count goes on over settled calls and over restarts, so that an application's loop can go on with it."""
    for expected in (2, 4):
        with closing(Outbox(path)) as box:
            box.settle(box.put([("kv.put", b"{}", IDENTITY)] * 2))
            assert box.calls_begun == expected


def test_one_client_at_a_time(path):
    """A second client is refused at once, in one line, in this process and in another; afterwards it may come."""
    with closing(Outbox(path)) as box:
        box.put([("kv.put", b"{}", IDENTITY)])
        with pytest.raises(OutboxBusy, match=r"^another client has the outbox .* open; one at a time$"):
            Outbox(path)
        program = f"from oncerpc.client.session.outbox import Outbox; Outbox({str(path)!r})"
        other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        assert "OutboxBusy" in other.stderr
        assert len(box.load()) == 1
    Outbox(path).close()


def test_the_outbox_of_a_killed_process_opens_at_once(path):
    """SIGKILL leaves neither a lock behind nor half a transaction."""
    program = (
        "import os, signal; from oncerpc.client.session.outbox import Outbox;"
        "from oncerpc.client.session.session import Epoch, Identity;"
        f"box = Outbox({str(path)!r}); box.put([('kv.put', b'{{}}', Identity(Epoch('key', None), 1))]);"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", program], check=False)
    with closing(Outbox(path)) as box:
        assert len(box.entries()) == 1


def test_the_file_is_its_owners_alone(path):
    """The session's name is a secret: nobody else may read the file."""
    Outbox(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_another_programs_database_is_refused_and_left_alone(path):
    """A SQLite file without our mark is not touched."""
    with closing(sqlite3.connect(path)) as foreign:
        foreign.execute("CREATE TABLE t (a)")
    before = path.read_bytes()
    with pytest.raises(OutboxError, match="another program"):
        Outbox(path)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_a_file_that_is_no_database_is_refused_and_left_alone(path):
    """A text file given by mistake is not touched."""
    path.write_text("my thesis\n" * 100)
    with pytest.raises(OutboxError, match="not a database"):
        Outbox(path)
    assert path.read_text() == "my thesis\n" * 100


def test_a_newer_releases_outbox_is_refused(path):
    """Calls that this release cannot read are not lost by guessing."""
    Outbox(path).close()
    with closing(sqlite3.connect(path)) as newer:
        newer.execute("PRAGMA user_version = 99")
    with pytest.raises(OutboxError, match="newer release"):
        Outbox(path)


@pytest.mark.parametrize("place", ["missing/outbox.db", "."])
def test_an_impossible_place_is_one_line(tmp_path, place):
    """A missing directory, or a directory instead of a file, is named in one line."""
    with pytest.raises(OutboxError) as caught:
        Outbox(tmp_path / place)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_empty_file_becomes_an_outbox(path):
    """`touch` and `mktemp` make a good place for one."""
    path.touch()
    with closing(Outbox(path)) as box:
        assert box.calls_begun == 0
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)


def test_a_full_outbox_refuses_the_call_and_keeps_the_others(path, monkeypatch):
    """The bound refuses what does not fit, definitely, and what came together with it is put in."""
    monkeypatch.setattr(module, "CALLS_MAX", 2)
    with closing(Outbox(path)) as box:
        box.put([("kv.put", b"{}", IDENTITY)])
        with pytest.raises(OutboxError, match="full"):
            box.put([("kv.put", b"{}", IDENTITY)] * 2)
        box.put([("kv.put", b"{}", IDENTITY)])
        assert (box.calls_begun, len(box.entries())) == (2, 2)


def test_a_closed_outbox_says_so(path):
    """A thread that comes too late gets an error of ours, not SQLite's."""
    box = Outbox(path)
    box.close()
    box.close()
    with pytest.raises(OutboxError, match="closed"):
        box.put([("kv.put", b"{}", IDENTITY)])


def test_threads_that_come_together_share_a_commit(path):
    """Many threads' calls are all there, each once, with fewer transactions than calls."""
    with closing(Outbox(path)) as box:
        commits = []
        box._connection.set_trace_callback(lambda sql: commits.append(1) if sql == "COMMIT" else None)
        found = []

        def work():
            for _ in range(25):
                entry_id = box.put([("kv.put", b"{}", IDENTITY)])[0]
                found.append(entry_id)
                box.settle([entry_id])

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert len(set(found)) == 200
        assert (box.calls_begun, box.entries()) == (200, [])
        assert len(commits) <= 400


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM session",
        "INSERT INTO calls (open_key, seq, method, params) VALUES ('', 1, 'm', '{}')",
        "INSERT INTO calls (open_key, seq, method, params) VALUES ('k', 'x', 'm', '{}')",
        "INSERT INTO calls (open_key, seq, method, params) VALUES ('k', 0, 'm', '{}')",
        "DROP TABLE calls",
        "DROP TABLE session",
    ],
)
def test_a_damaged_outbox_is_an_outbox_error_and_is_let_go(path, damage):
    """One line that names the file, no traceback; the file is free again afterwards."""
    Outbox(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(damage)
    for _ in range(2):
        with pytest.raises(OutboxError, match=r"damaged|cannot read") as caught:
            connect("http://127.0.0.1:1", outbox=path)
        assert not isinstance(caught.value, OutboxBusy)


def test_a_file_called_memory_is_a_file(tmp_path, monkeypatch):
    """SQLite's own meaning of that name would forget the calls at the process's end."""
    monkeypatch.chdir(tmp_path)
    with closing(Outbox(":memory:")) as box:
        box.put([("kv.put", b"{}", IDENTITY)])
    with closing(Outbox(":memory:")) as box:
        assert len(box.entries()) == 1
