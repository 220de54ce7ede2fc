import threading

import pytest

from oncekv.client.outcome import ClientClosed, Unreachable
from oncekv.client.session.session import NoJournal, OpenedSession, Saved, Session
from oncekv.wire.errors import IdentityReused, WindowExceeded
from tests.support.waiting import at_once, in_background, until


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


def begin(session, deadline_s):
    """The identity of a call that leaves alone."""
    return session.begin(1, deadline_s)[0]


def test_a_session_is_opened_by_the_first_call_and_once_only(server):
    """Nothing is opened before a call needs it, and all calls share what was opened."""
    session = session_with(server)
    assert server.keys == []
    first, second = begin(session, 1.0), begin(session, 1.0)
    assert [first.meta(), second.meta()] == [
        {"session": "session-1", "seq": 1, "acked": 0},
        {"session": "session-1", "seq": 2, "acked": 0},
    ]
    assert server.keys == ["key-1"]


def test_acked_moves_on_between_the_attempts_of_a_call(server):
    """An attempt carries what is acknowledged when it leaves, below its own seq."""
    session = session_with(server)
    calls = [begin(session, 1.0) for _ in range(3)]
    session.finish([calls[0]])
    assert calls[2].meta()["acked"] == 1
    session.finish([calls[1]])
    assert calls[2].meta()["acked"] == 2
    session.finish([calls[2]])
    assert calls[2].meta()["acked"] == 2


def test_threads_that_need_a_session_together_open_one(server):
    """The first thread opens it, the others wait for it and use it."""
    server.gate.clear()
    session = session_with(server)
    found = []
    threads = [threading.Thread(target=lambda: found.append(begin(session, 5.0))) for _ in range(8)]
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
        begin(session, 1.0)
    begin(session, 1.0)
    assert server.keys == ["key-1", "key-1"]


def test_a_key_that_an_earlier_process_used_otherwise_is_dropped(server):
    """A kept key that the server remembers with another lease does not shut the client out."""
    server.failures = [IdentityReused()]
    session = session_with(server)
    assert begin(session, 1.0).epoch.name == "session-2"
    assert server.keys == ["key-1", "key-2"]


def test_a_call_waits_for_room_in_the_window():
    """With a full window a call waits for an old one to finish, and for no longer than it may."""
    session = session_with(Server(window=2))
    first = begin(session, 1.0)
    begin(session, 1.0)
    assert session.begin_now(1) == []
    with pytest.raises(WindowExceeded):
        begin(session, 0.01)
    timer = threading.Timer(0.05, session.finish, [[first]])
    timer.start()
    assert begin(session, 5.0).seq == 3
    timer.join()


def test_batches_that_fill_the_window_take_their_places_in_turn():
    """Threads that each held some places while they waited for the others would all wait for ever."""
    session = session_with(Server(window=8))

    def work():
        for _ in range(200):
            identities = session.begin(5, 5.0)
            assert [one.seq - identities[0].seq for one in identities] == [0, 1, 2, 3, 4]
            session.finish(identities)

    at_once([work] * 4)


def test_a_batch_is_not_passed_by_single_calls_for_ever():
    """Whoever comes later waits behind it: there is always room for one call, and hardly ever for eight."""
    session = session_with(Server(window=8))
    first = session.begin(1, 1.0)
    found = []
    waiting = threading.Thread(target=lambda: found.extend(session.begin(8, 5.0)))
    waiting.start()
    until(lambda: session.would_wait(1))
    assert session.begin_now(1) == []
    with pytest.raises(WindowExceeded):
        session.begin(1, 0.01)
    session.finish(first)
    waiting.join(5)
    assert [identity.seq for identity in found] == list(range(2, 10))


def test_a_caller_that_gives_up_lets_the_next_one_go_on():
    """Its turn ends with its deadline."""
    session = session_with(Server(window=8))
    session.begin(1, 1.0)

    def give_up():
        with pytest.raises(WindowExceeded):
            session.begin(8, 0.2)

    waiting = in_background(give_up)
    until(lambda: session.would_wait(1))
    assert [identity.seq for identity in session.begin(1, 5.0)] == [2]
    waiting.result(5)


def test_more_calls_at_once_than_the_window_has_places_are_refused():
    """They would wait for each other."""
    session = session_with(Server(window=8))
    with pytest.raises(WindowExceeded, match="9 calls at once"):
        session.begin(9, None)
    assert session.window == 8


def test_a_forgotten_session_is_replaced_once(server):
    """Threads that find the same session gone open one new one between them."""
    session = session_with(server)
    old = begin(session, 1.0)
    session.forget(old.epoch)
    new = begin(session, 1.0)
    session.forget(old.epoch)
    assert begin(session, 1.0).epoch is new.epoch
    assert (new.epoch.name, new.seq) == ("session-2", 1)


def test_a_journal_goes_on_with_the_session_it_remembers(server):
    """Session, seq and unanswered calls of an earlier process are taken up; nothing is opened."""

    class Journal(NoJournal):
        def load(self):
            return Saved(OpenedSession("old", 1024), next_seq=9, unanswered=[5])

    session = session_with(server, Journal())
    assert begin(session, 1.0).meta() == {"session": "old", "seq": 9, "acked": 4}
    session.finish([session.recall("old", 5)])
    assert begin(session, 1.0).meta() == {"session": "old", "seq": 10, "acked": 8}
    assert server.keys == []


def test_the_identity_of_a_call_on_an_older_session_is_still_its_own(server):
    """A kept call of a session that is gone is asked for under that session, not under the new one."""
    session = session_with(server)
    begin(session, 1.0)
    assert session.recall("older", 7).meta() == {"session": "older", "seq": 7, "acked": 0}


def test_a_closed_session_begins_nothing(server):
    """Closing wakes who waits for the window, and names the session that is to be closed."""
    session = session_with(Server(window=1))
    begin(session, 1.0)
    timer = threading.Timer(0.05, session.close)
    timer.start()
    with pytest.raises(ClientClosed):
        begin(session, 5.0)
    timer.join()
    assert session.begin_now(1) == []
    assert session.close() == "session-1"


def test_a_sessions_name_is_not_shown(server):
    """Whoever holds the name is the client, so no log and no traceback has it whole."""
    session = session_with(server)
    assert "session-1" not in repr(begin(session, 1.0))
