"""One outbox, several files: copied and used twice, or an older copy put back. No effect and no reply goes astray."""

import shutil

import pytest

from oncekv.client import Failed, Ok, Unknown
from oncerpc.client.transport.reply import Received

from .scripted import LOST, REFUSED, Scripted, append, client
from .simulation import ModelServer

SENT, UNSENT = ("ok", LOST), (REFUSED,) * 99


def exactly_once(network, path, **choices):
    """A client that remembers."""
    return client(network, **{"semantics": "exactly-once", "timeout_s": 0.9, "outbox": path, **choices})


@pytest.fixture
def server():
    """What keeps the records."""
    return ModelServer()


@pytest.fixture
def files(tmp_path):
    """Where an outbox and its copy are."""
    return tmp_path / "outbox", tmp_path / "copy"


def leave(server, path, script):
    """A process that ends with a call in its outbox."""
    with exactly_once(Scripted("ok", server=server), path) as kv:
        append(kv, "before")
    with exactly_once(Scripted(*script, server=server), path) as kv:
        outcome = append(kv, "kept")
        assert isinstance(outcome, Unknown)
        assert outcome.kept


def told(kv, *values):
    """What the client says of the calls that it found, and then of these."""
    found = [(one.params["value"], type(one.outcome)) for one in kv.recovered]
    return found + [(value, type(append(kv, value))) for value in values]


@pytest.mark.parametrize("semantics", ["at-most-once", "exactly-once"])
def test_two_clients_on_two_copies_give_no_identity_to_two_calls(server, files, semantics):
    """Also while both are open: each new call has its own effect, and its own reply."""
    with exactly_once(Scripted(server=server), files[0], semantics=semantics) as kv:
        append(kv, "before")
    shutil.copy(*files)
    clients = [exactly_once(Scripted(server=server), path, semantics=semantics) for path in files]
    with clients[0] as one, clients[1] as other:
        offsets = [
            append(kv, value).result["offset"] for kv, value in ((one, "a"), (other, "b"), (one, "c"), (other, "d"))
        ]
    assert offsets == [6, 7, 8, 9]
    assert server.values["k"] == "beforeabcd"


@pytest.mark.parametrize("script", [SENT, UNSENT], ids=["sent", "unsent"])
def test_a_call_in_both_copies_is_one_call(server, files, script):
    """Both finish it under its one identity: one effect, the second told of the first one's reply."""
    leave(server, files[0], script)
    shutil.copy(*files)
    for path, value in zip(files, ("a", "b"), strict=True):
        with exactly_once(Scripted(server=server), path) as kv:
            assert told(kv, value) == [("kept", Ok), (value, Ok)]
    assert server.values["k"] == "beforekeptab"


@pytest.mark.parametrize("script", [SENT, UNSENT], ids=["sent", "unsent"])
def test_an_older_copy_that_is_put_back_repeats_nothing(server, files, script):
    """The file has gone on meanwhile: what it finished has one effect, and what is new is not taken for it."""
    leave(server, files[0], script)
    shutil.copy(*files)
    with exactly_once(Scripted(server=server), files[0]) as kv:
        assert told(kv, "a", "b") == [("kept", Ok), ("a", Ok), ("b", Ok)]
    shutil.copyfile(files[1], files[0])
    with exactly_once(Scripted(server=server), files[0]) as kv:
        assert told(kv, "c", "d") == [("kept", Ok), ("c", Ok), ("d", Ok)]
    assert server.values["k"] == "beforekeptabcd"


@pytest.mark.parametrize("script", [SENT, UNSENT], ids=["sent", "unsent"])
def test_a_copy_whose_call_is_settled_and_gone_says_unknown(server, files, script):
    """The session of the call is over at the server: the copy cannot know, and does not make the call again."""
    leave(server, files[0], script)
    shutil.copy(*files)
    with exactly_once(Scripted(server=server), files[0]) as kv:
        assert told(kv) == [("kept", Ok)]
    server.forget_sessions()
    with exactly_once(Scripted(server=server), files[1]) as kv:
        assert told(kv, "new") == [("kept", Unknown), ("new", Ok)]
    assert server.values["k"] == "beforekeptnew"


def test_a_copy_of_an_open_outbox_makes_no_call_twice(server, files):
    """Its process went on: it has sent the call, and acknowledged it."""
    network = Scripted(*UNSENT, server=server)
    with exactly_once(network, files[0]) as kv:
        append(kv, "kept")
        assert kv._core.outbox is not None
        kv._core.outbox._connection.execute("PRAGMA wal_checkpoint")
        shutil.copy(*files)
        network.script.clear()
        assert told(kv, "a", "b") == [("a", Ok), ("b", Ok)]
        with exactly_once(Scripted(server=server), files[1]) as copy:
            assert told(copy, "c") == [("kept", Unknown), ("c", Ok)], "settled, and acknowledged"
    assert server.values["k"] == "keptabc"


def test_a_call_that_was_never_sent_from_any_copy_is_made_anew_where_its_session_is_gone(server, files):
    """Kept over an outage longer than a lease: nobody ever opened a session by its key, so it surely never ran."""
    leave(server, files[0], UNSENT)
    server.forget_sessions()
    with exactly_once(Scripted(server=server), files[0]) as kv:
        assert told(kv) == [("kept", Ok)]


def test_a_refusal_of_a_call_that_another_copy_may_have_sent_is_no_failure(server, files):
    """`Failed` means no effect: a copy that finds the session open already cannot say so."""
    leave(server, files[0], UNSENT)
    shutil.copy(*files)
    with exactly_once(Scripted(server=server), files[0]) as kv:
        assert told(kv) == [("kept", Ok)]
    with exactly_once(Scripted("ok", Received(413, b""), server=server), files[1]) as kv:
        assert told(kv) == [("kept", Unknown)]
    other = ModelServer()
    with exactly_once(Scripted(*UNSENT, server=other), files[0]) as kv:
        append(kv, "never")
    with exactly_once(Scripted("ok", Received(413, b""), server=other), files[0]) as kv:
        assert told(kv) == [("never", Failed)]
