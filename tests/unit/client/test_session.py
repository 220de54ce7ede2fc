import threading

import pytest

from oncekv.client.outcome import ClientClosed, Unreachable
from oncekv.client.session import NoJournal, OpenedSession, Saved, Session
from oncekv.wire.errors import IdentityReused, WindowExceeded


class Server:
    """Opens sessions, or fails as told."""

    def __init__(self, window=1024):
        self.window = window
        self.keys: list[str] = []
        self.failures: list[Exception] = []
        self.gate = threading.Event()
        self.gate.set()

    def open(self, key, deadline_s):
        """session.open."""
        self.keys.append(key)
        self.gate.wait(5)
        if self.failures:
            raise self.failures.pop()
        return OpenedSession(f"session-{len(self.keys)}", self.window)


@pytest.fixture
def server():
    """A server of our own."""
    return Server()


def session_with(server, journal=None):
    """A client's session; keys are counted, deadlines are seconds from now."""
    keys = iter(f"key-{number}" for number in range(1, 100))
    return Session(server.open, lambda: next(keys), lambda deadline_s: deadline_s, journal or NoJournal())


def test_a_session_is_opened_by_the_first_call_and_once_only(server):
    """Nothing is opened before a call needs it, and all calls share what was opened."""
    session = session_with(server)
    assert server.keys == []
    first, second = session.begin(1.0), session.begin(1.0)
    assert [first.meta(), second.meta()] == [
        {"session": "session-1", "seq": 1, "acked": 0},
        {"session": "session-1", "seq": 2, "acked": 0},
    ]
    assert server.keys == ["key-1"]


def test_acked_moves_on_between_the_attempts_of_a_call(server):
    """An attempt carries what is acknowledged when it leaves, below its own seq."""
    session = session_with(server)
    calls = [session.begin(1.0) for _ in range(3)]
    session.finish(calls[0])
    assert calls[2].meta()["acked"] == 1
    session.finish(calls[1])
    assert calls[2].meta()["acked"] == 2
    session.finish(calls[2])
    assert calls[2].meta()["acked"] == 2


def test_threads_that_need_a_session_together_open_one(server):
    """The first thread opens it, the others wait for it and use it."""
    server.gate.clear()
    session = session_with(server)
    found = []
    threads = [threading.Thread(target=lambda: found.append(session.begin(5.0))) for _ in range(8)]
    for thread in threads:
        thread.start()
    server.gate.set()
    for thread in threads:
        thread.join(5)
    assert sorted(identity.seq for identity in found) == list(range(1, 9))
    assert len(server.keys) == 1


def test_a_failed_open_is_asked_again_under_its_own_key(server):
    """A lost reply leaves no second session behind: the key changes only once an answer came."""
    server.failures = [Unreachable("lost")]
    session = session_with(server)
    with pytest.raises(Unreachable):
        session.begin(1.0)
    session.begin(1.0)
    assert server.keys == ["key-1", "key-1"]


def test_a_key_that_an_earlier_process_used_otherwise_is_dropped(server):
    """A kept key that the server remembers with another lease does not shut the client out."""
    server.failures = [IdentityReused()]
    session = session_with(server)
    assert session.begin(1.0).epoch.name == "session-2"
    assert server.keys == ["key-1", "key-2"]


def test_a_call_waits_for_room_in_the_window():
    """With a full window a call waits for an old one to finish, and for no longer than it may."""
    session = session_with(Server(window=2))
    first = session.begin(1.0)
    session.begin(1.0)
    assert session.begin_now() is None
    with pytest.raises(WindowExceeded):
        session.begin(0.01)
    timer = threading.Timer(0.05, session.finish, [first])
    timer.start()
    assert session.begin(5.0).seq == 3
    timer.join()


def test_a_forgotten_session_is_replaced_once(server):
    """Threads that find the same session gone open one new one between them."""
    session = session_with(server)
    old = session.begin(1.0)
    session.forget(old.epoch)
    new = session.begin(1.0)
    session.forget(old.epoch)
    assert session.begin(1.0).epoch is new.epoch
    assert (new.epoch.name, new.seq) == ("session-2", 1)


def test_a_journal_goes_on_with_the_session_it_remembers(server):
    """Session, seq and unanswered calls of an earlier process are taken up; nothing is opened."""

    class Journal(NoJournal):
        def load(self):
            return Saved(OpenedSession("old", 1024), next_seq=9, unanswered=[5])

    session = session_with(server, Journal())
    assert session.begin(1.0).meta() == {"session": "old", "seq": 9, "acked": 4}
    session.finish(session.recall("old", 5))
    assert session.begin(1.0).meta() == {"session": "old", "seq": 10, "acked": 8}
    assert server.keys == []


def test_the_identity_of_a_call_on_an_older_session_is_still_its_own(server):
    """A kept call of a session that is gone is asked for under that session, not under the new one."""
    session = session_with(server)
    session.begin(1.0)
    assert session.recall("older", 7).meta() == {"session": "older", "seq": 7, "acked": 0}


def test_a_closed_session_begins_nothing(server):
    """Closing wakes who waits for the window, and names the session that is to be closed."""
    session = session_with(Server(window=1))
    session.begin(1.0)
    timer = threading.Timer(0.05, session.close)
    timer.start()
    with pytest.raises(ClientClosed):
        session.begin(5.0)
    timer.join()
    assert session.begin_now() is None
    assert session.close() == "session-1"


def test_a_sessions_name_is_not_shown(server):
    """Whoever holds the name is the client, so no log and no traceback has it whole."""
    session = session_with(server)
    assert "session-1" not in repr(session.begin(1.0))
