import os
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing

import pytest

from oncekv.client import connect
from oncekv.client.session import outbox as module
from oncekv.client.session.ledger import Ledger
from oncekv.client.session.outbox import APPLICATION_ID, Entry, Outbox, OutboxBusy, OutboxError
from oncekv.client.session.session import Epoch, Identity, OpenedSession, Saved

SESSION = OpenedSession("s" * 22, 1024)
EPOCH = Epoch(SESSION.name, Ledger())


@pytest.fixture
def path(tmp_path):
    """Where the outbox is."""
    return tmp_path / "outbox.db"


def identity(seq):
    """The identity of a call on the open session."""
    return Identity(EPOCH, seq)


def test_a_call_is_there_for_the_next_process_until_it_is_settled(path):
    """Put, assigned and settled calls are as they were left, in order, and so is the session."""
    with closing(Outbox(path)) as box:
        box.opened(SESSION)
        ids = box.put([("kv.append", b'{"key":"k"}', identity(1)), ("kv.put", b"{}", None), ("kv.put", b"{}", None)])
        box.assign([(ids[1], identity(4))])
        box.settle([ids[0]])
    with closing(Outbox(path)) as box:
        assert box.entries() == [
            Entry(ids[1], SESSION.name, 4, "kv.put", b"{}"),
            Entry(ids[2], None, None, "kv.put", b"{}"),
        ]
        assert box.load() == Saved(SESSION, 5, [4])
        assert [entry.id for entry in box.entries()] == ids[1:]


def test_calls_begun_counts_every_call_ever_put_in(path):
    """The count goes on over settled calls and over restarts, so that an application's loop can go on with it."""
    for expected in (2, 4):
        with closing(Outbox(path)) as box:
            box.settle(box.put([("kv.put", b"{}", None)] * 2))
            assert box.calls_begun == expected


def test_a_seq_is_never_given_out_again(path):
    """A seq that was used up, also by a call that is not kept, is behind the next process's first one."""
    with closing(Outbox(path)) as box:
        box.opened(SESSION)
        box.reserve([identity(6), identity(7)])
        box.reserve([identity(3)])
    with closing(Outbox(path)) as box:
        assert box.load() == Saved(SESSION, 8, [])


def test_a_new_session_begins_at_one_and_an_old_call_does_not_count_for_it(path):
    """What is still under way on the session before uses up no seq of the new one."""
    with closing(Outbox(path)) as box:
        box.opened(SESSION)
        entry_id = box.put([("kv.put", b"{}", identity(9))])[0]
        box.opened(OpenedSession("other", 16))
        box.assign([(entry_id, identity(10))])
        assert box.load() == Saved(OpenedSession("other", 16), 1, [])


def test_the_key_of_an_unanswered_open_is_kept(path):
    """A process that dies while it opens a session asks for the same session again."""
    with closing(Outbox(path)) as box:
        box.opening("key-1")
    with closing(Outbox(path)) as box:
        assert box.load().open_key == "key-1"
        box.opened(SESSION)
        assert box.load().open_key is None


def test_one_client_at_a_time(path):
    """A second client is refused at once, in one line, in this process and in another; afterwards it may come."""
    with closing(Outbox(path)) as box:
        box.opened(SESSION)
        with pytest.raises(OutboxBusy, match=r"^another client has the outbox .* open; one at a time$"):
            Outbox(path)
        program = f"from oncekv.client.session.outbox import Outbox; Outbox({str(path)!r})"
        other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        assert "OutboxBusy" in other.stderr
        assert box.load().opened == SESSION
    Outbox(path).close()


def test_the_outbox_of_a_killed_process_opens_at_once(path):
    """SIGKILL leaves neither a lock behind nor half a transaction."""
    program = (
        "import os, signal; from oncekv.client.session.outbox import Outbox;"
        f"box = Outbox({str(path)!r}); box.put([('kv.put', b'{{}}', None)]); os.kill(os.getpid(), signal.SIGKILL)"
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
        box.put([("kv.put", b"{}", None)])
        with pytest.raises(OutboxError, match="full"):
            box.put([("kv.put", b"{}", None)] * 2)
        box.put([("kv.put", b"{}", None)])
        assert (box.calls_begun, len(box.entries())) == (2, 2)


def test_a_closed_outbox_says_so(path):
    """A thread that comes too late gets an error of ours, not SQLite's."""
    box = Outbox(path)
    box.close()
    box.close()
    with pytest.raises(OutboxError, match="closed"):
        box.put([("kv.put", b"{}", None)])


def test_threads_that_come_together_share_a_commit(path):
    """Many threads' calls are all there, each once, with fewer transactions than calls."""
    with closing(Outbox(path)) as box:
        commits = []
        box._connection.set_trace_callback(lambda sql: commits.append(1) if sql == "COMMIT" else None)
        found = []

        def work():
            for _ in range(25):
                entry_id = box.put([("kv.put", b"{}", None)])[0]
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
        "UPDATE session SET name = 'n', next_seq = 'x'",
        "UPDATE session SET name = 'n', seq_window = 0",
        "UPDATE session SET name = 'n'; INSERT INTO calls (session, seq, method, params) VALUES ('n', 9, 'm', '{}')",
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
        box.put([("kv.put", b"{}", None)])
    with closing(Outbox(":memory:")) as box:
        assert len(box.entries()) == 1
