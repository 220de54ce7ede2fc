import threading

import pytest

from oncerpc.client.outcome import ClientClosed, Unreachable
from oncerpc.client.session.session import OpenedSession, Session
from oncerpc.wire.errors import IdentityReused, WindowExceeded
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


def session_with(server, kept=()):
    """A client's session; keys are counted, deadlines are seconds from now."""
    keys = iter(f"key-{number}" for number in range(1, 100))
    return Session(server.open, lambda: next(keys), lambda deadline_s: deadline_s, kept)


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
    assert meta(begin(session, 1.0))[:2] == ("key-2", "session-2")
    assert server.keys == ["key-1", "key-2"]
    assert session.recall("key-1", 1).epoch is session.epoch


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
    waiting.result(60)


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


def meta(identity):
    """Key, session, seq and acked of an attempt."""
    return identity.epoch.key, *identity.meta().values()


def test_a_call_that_an_earlier_process_left_keeps_its_identity_and_lends_it_to_no_other(server):
    """It is asked for under its own session, which takes no new call and acknowledges nothing that was not before."""
    session = session_with(server, [("old", "session-0", 9), ("old", None, 5), ("older", "session-9", 1)])
    fifth, ninth = session.recall("old", 5), session.recall("old", 9)
    assert [meta(fifth), meta(ninth)] == [("old", "session-0", 5, 4), ("old", "session-0", 9, 4)]
    session.finish([fifth])
    assert ninth.meta()["acked"] == 4
    assert meta(begin(session, 1.0)) == ("key-1", "session-1", 1, 0)
    assert meta(session.recall("older", 1)) == ("older", "session-9", 1, 0)


def test_a_kept_call_has_an_identity_before_there_is_a_session(server):
    """The key that opens the session, and a seq; whoever asks for a session next gets that one."""
    session = session_with(server)
    first, second = session.plan(1)[0], session.plan(1)[0]
    assert (first.epoch.key, first.seq, second.epoch, second.seq, server.keys) == ("key-1", 1, first.epoch, 2, [])
    assert meta(begin(session, 1.0)) == ("key-1", "session-1", 3, 0)
    session.open(first.epoch, 1.0)
    assert (meta(first), server.keys) == (("key-1", "session-1", 1, 0), ["key-1"])


def test_a_kept_call_of_an_earlier_process_opens_its_session_by_its_key(server):
    """That session is not the one of new calls."""
    session = session_with(server, [("old", None, 1)])
    identity = session.recall("old", 1)
    session.open(identity.epoch, 1.0)
    assert meta(identity) == ("old", "session-1", 1, 0)
    assert meta(begin(session, 1.0)) == ("key-1", "session-2", 1, 0)


def test_a_kept_call_never_waits_for_a_place():
    """Where the window is full, it gets a place of a session that is yet to be opened, and is later."""
    session = session_with(Server(window=4))
    session.begin(4, 1.0)
    planned = session.plan(2) + session.plan(1)
    assert [(one.epoch.key, one.epoch.name, one.seq) for one in planned] == [("key-2", None, seq) for seq in (1, 2, 3)]
    full = session.epoch
    assert full is not None
    session.forget(full)
    assert meta(begin(session, 1.0)) == ("key-2", "session-2", 4, 0)
    session.close()
    with pytest.raises(ClientClosed):
        session.plan(1)


def test_nobody_is_overtaken_by_a_kept_call():
    """While a call waits for places of the open session, a kept one takes none of them."""
    session = session_with(Server(window=8))
    first = session.begin(1, 1.0)
    waiting = in_background(lambda: session.begin(8, 5.0))
    until(lambda: session.would_wait(1))
    assert session.plan(1)[0].epoch.name is None
    session.finish(first)
    assert [identity.seq for identity in waiting.result(60)] == list(range(2, 10))


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
