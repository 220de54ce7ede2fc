"""No client is copied: a copy would give the same identities to other calls."""

import contextlib
import copy
import pickle

import pytest

from .scripted import Scripted, append, client


@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy, pickle.dumps], ids=lambda make: make.__name__)
@pytest.mark.parametrize("part", ["client", "view", "batch", "later"])
def test_what_belongs_to_a_client_is_not_copied(make, part):
    """A client, a view, a batch and a call of it: one TypeError that names the way out, and the client goes on."""
    with client(Scripted()) as kv:
        batch = kv.batch()
        parts = {"client": kv, "view": kv.using(semantics="maybe"), "batch": batch, "later": batch.append("k", "x")}
        with pytest.raises(TypeError, match=r"^a \w+ can be neither copied nor pickled; make a client in each process"):
            make(parts[part])
        assert append(kv).result["offset"] == 0


def test_a_batch_that_is_entered_again_sends_only_what_is_new():
    """What it sent before, or dropped because its block raised, is not sent again."""
    network = Scripted()
    with client(network) as kv:
        batch = kv.batch()
        for value in "ab":
            with batch:
                batch.append("k", value)
        with contextlib.suppress(ZeroDivisionError), batch:
            batch.append("k", "dropped")
            raise ZeroDivisionError
        with batch:
            batch.append("k", "c")
    assert network.server.values["k"] == "abc"
    assert set(network.server.effects.values()) == {1}
