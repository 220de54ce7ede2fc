"""The books of calls that the outbox keeps: what it says of them, and that no identity is left behind."""

import pytest

from oncekv.client import Ok, Unknown
from oncerpc.client.session.outbox import OutboxError

from .scripted import EXACTLY, LOST, Scripted, append, client


def test_without_an_outbox_there_is_nothing_to_resume():
    """No call of an earlier process, and no error."""
    with client(Scripted()) as kv:
        assert kv.resume() == []


def test_the_outbox_knows_that_a_call_behind_an_older_one_was_not_sent(tmp_path):
    """Were it taken for sent, a server that has forgotten the session would make of "surely not run" an unknown."""
    network = Scripted("ok", LOST)
    with client(network, outbox=tmp_path / "o", **EXACTLY) as kv:
        assert isinstance(append(kv, "old"), Unknown)
        network.script = [LOST]
        assert isinstance(append(kv, "new"), Unknown)
        box = kv._core.outbox
        assert box is not None
        assert [entry.session is None for entry in box.entries()] == [False, True]
        network.server.forget_sessions()
        old, new = kv.resume()
    assert isinstance(old.outcome, Unknown)
    assert isinstance(new.outcome, Ok)
    assert network.server.effects.get("new") == 1


@pytest.mark.parametrize("error", [OutboxError("disk full"), KeyboardInterrupt()], ids=["outbox", "Ctrl-C"])
def test_identities_that_the_outbox_never_heard_of_are_given_back(tmp_path, error):
    """A call that was to be issued once more keeps its former identity; the new one holds no place in the window."""
    network = Scripted()
    with client(network, outbox=tmp_path / "o", **EXACTLY) as kv:
        append(kv, "first")
        box = kv._core.outbox
        assert box is not None
        network.server.forget_sessions()
        assign = box.assign

        def fails(_calls):
            raise error

        box.assign = fails  # the first identity was known when the call was put in; this is the second one's
        if isinstance(error, OutboxError):
            assert isinstance(append(kv, "again"), Unknown)
        else:
            with pytest.raises(KeyboardInterrupt):
                append(kv, "again")
        box.assign = assign
        kept = [(entry.key, entry.seq) for entry in box.entries()]
        kv.resume()
        assert isinstance(append(kv, "last"), Ok)
        assert len(kept) == 1
        assert network.metas[-1]["acked"] == network.metas[-1]["seq"] - 1
