"""Batches as an application sees them: each call with its own end, any number of them, in their order."""

import json

import pytest

from oncekv.client import Failed, Ok, Unknown, Unreachable
from oncekv.kv.errors import VersionMismatch
from oncekv.kv.results import Appended
from oncerpc.client.session.outbox import OutboxError
from oncerpc.client.transport.reply import Received

from .scripted import LOST, REFUSED, Scripted, client
from .simulation import ModelServer

MANY = 600
TOKENS = [f"[{number}]" for number in range(MANY)]


def sent(network):
    """The seqs of each POST that carried a batch."""
    return [
        [one["params"]["_meta"]["seq"] for one in request] for _, request, _ in network.seen if type(request) is list
    ]


def append_all(kv, tokens=TOKENS, **choices):
    """All of them in one batch; what became of each."""
    with kv.using(**choices).batch() as batch:
        later = [batch.append("k", token) for token in tokens]
    return [one.outcome for one in later]


def seqs(first, last):
    """From first to last."""
    return list(range(first, last + 1))


def test_a_batch_gives_each_call_its_own_end():
    """One request, one result or error for each, and what was lost goes out again alone."""
    network = Scripted()
    with client(network) as kv, kv.batch() as batch:
        first = batch.append("k", "x")
        failed = batch.put("k", "y", if_version=9)
        second = batch.append("k", "z")
    assert (first.result().offset, second.result()) == (0, Appended(version=2, offset=1))
    with pytest.raises(VersionMismatch):
        failed.result()
    assert isinstance(network.seen[1][1], list)


def test_what_a_batchs_reply_leaves_out_is_sent_again_under_the_same_identity():
    """Settled calls are not repeated; the others keep their seq."""
    network = Scripted()
    handle = network.server.handle

    def partial(body, headers, fails=""):
        content = handle(body, headers, fails)
        replies = json.loads(content)
        return json.dumps(replies[:1]).encode() if isinstance(replies, list) else content

    network.server.handle = partial  # type: ignore[method-assign]
    with client(network) as kv, kv.batch() as batch:
        later = [batch.append("k", value) for value in "abc"]
    assert [one.result().offset for one in later] == [0, 1, 2]
    sent = [[one["params"]["_meta"]["seq"] for one in request] for _, request, _ in network.seen[1:4]]
    assert sent == [[1, 2, 3], [2, 3], [3]]
    assert network.server.values["k"] == "abc"


def test_a_batch_is_sent_when_its_block_ends_well():
    """Before that there is no result; a block that raises sends nothing; an empty one neither."""
    network = Scripted()
    with client(network) as kv:
        with kv.batch():
            pass
        batch = kv.batch()
        later = batch.put("k", "x")
        batch.__exit__(ZeroDivisionError, ZeroDivisionError(), None)
        with pytest.raises(RuntimeError, match="not sent yet"):
            later.result()
    assert network.seen == []


def test_a_batch_of_any_size_is_sent_in_portions():
    """Each call has its result, and they took effect in their order, as if all had gone in one request."""
    network = Scripted()
    with client(network) as kv:
        outcomes = append_all(kv)
    assert [outcome.result["version"] for outcome in outcomes if isinstance(outcome, Ok)] == seqs(1, MANY)
    assert network.server.values["k"] == "".join(TOKENS)
    assert sent(network) == [seqs(1, 250), seqs(251, 500), seqs(501, 600)]


def test_the_next_portion_waits_until_the_one_before_is_settled():
    """The reply to the middle chunk is lost: it goes again under the same identities before the last one leaves."""
    network = Scripted("ok", "ok", "lost_reply")
    with client(network) as kv:
        outcomes = append_all(kv)
    assert {type(outcome) for outcome in outcomes} == {Ok}
    assert network.server.values["k"] == "".join(TOKENS)
    assert sent(network) == [seqs(1, 250), seqs(251, 500), seqs(251, 500), seqs(501, 600)]
    acked = [request[0]["params"]["_meta"]["acked"] for _, request, _ in network.seen if isinstance(request, list)]
    assert acked == [0, 250, 250, 500]


def test_a_deadline_in_the_middle_of_a_batch_tells_each_call_the_truth():
    """Done, unknown, and surely never sent: by chunk."""
    network = Scripted("ok", "ok", *[LOST] * 9)
    with client(network) as kv:
        outcomes = append_all(kv, timeout_s=1.5)
    assert [type(outcome) for outcome in outcomes] == [Ok] * 250 + [Unknown] * 250 + [Failed] * 100
    assert isinstance(outcomes[-1], Failed)
    assert isinstance(outcomes[-1].error, Unreachable)
    assert outcomes[-1].attempts == ()


def test_a_body_stays_below_what_the_server_takes():
    """Large values make more chunks, not a body of more than 4 MiB, and a call that fits nowhere goes alone."""
    network = Scripted()
    sizes = []
    post = network.post

    def measured(url, body, headers, timeout_s):
        sizes.append(len(body))
        return post(url, body, headers, timeout_s)

    network.post = measured  # type: ignore[method-assign]
    values = [letter * 1_000_000 for letter in "abcde"] + ["f" * 3_000_000, "g"]
    with client(network) as kv:
        append_all(kv, values)
    assert network.server.values["k"] == "".join(values)
    assert [len(seqs) for seqs in sent(network)] == [2, 2, 1, 1, 1]
    assert max(sizes) < 4 * 1024 * 1024


def test_portions_fit_into_a_narrow_window():
    """A server that gives fewer places than a chunk has calls gets smaller chunks."""

    class Narrow(ModelServer):
        def _open(self, key):
            reply = super()._open(key)
            return reply._replace(body=reply.body.replace(b'"window":1024', b'"window":4'))

    network = Scripted(server=Narrow())
    with client(network) as kv:
        kv.append("k", "x")
        assert {type(outcome) for outcome in append_all(kv, TOKENS[:10])} == {Ok}
    assert [len(seqs) for seqs in sent(network)] == [4, 4, 2]


def test_reads_need_no_places_and_are_answered_in_their_order():
    """A batch may mix reads and writes; a read sees the writes before it, in its own chunk and in earlier ones."""
    network = Scripted()
    with client(network) as kv, kv.batch() as batch:
        later = [(batch.append("k", "x"), batch.get("k")) for _ in range(300)]
    assert [len(read.result().value or "") for _, read in later] == seqs(1, 300)


EXACTLY = {"semantics": "exactly-once", "timeout_s": 1.5}


def test_all_of_an_exactly_once_batch_is_in_the_outbox_before_its_first_call_leaves(tmp_path):
    """Nobody answers: every call is kept, and a resume makes them all, once and in their order."""
    down = Scripted(*[REFUSED] * 99)
    with client(down, outbox=tmp_path / "o", **EXACTLY) as kv:
        outcomes = append_all(kv)
        assert {(type(outcome), getattr(outcome, "kept", None)) for outcome in outcomes} == {(Unknown, True)}
        assert kv.unanswered == MANY
    up = Scripted()
    with client(up, outbox=tmp_path / "o", **EXACTLY) as kv:
        assert [type(one.outcome) for one in kv.recovered] == [Ok] * MANY
    assert up.server.values["k"] == "".join(TOKENS)


def test_an_interrupted_exactly_once_batch_goes_on_where_it_was(tmp_path):
    """Ctrl-C in the middle chunk: those before it are done with, and a resume makes the others, in their order."""
    network = Scripted()
    post = network.post

    def interrupted(url, body, headers, timeout_s):
        answer = post(url, body, headers, timeout_s)
        if len(sent(network)) == 2:
            raise KeyboardInterrupt
        return answer

    network.post = interrupted  # type: ignore[method-assign]
    with client(network, outbox=tmp_path / "o", **EXACTLY) as kv:
        with pytest.raises(KeyboardInterrupt):
            append_all(kv)
        network.post = post  # type: ignore[method-assign]
        recovered = kv.resume()
        assert [one.params["value"] for one in recovered] == TOKENS[250:]
        assert {type(one.outcome) for one in recovered} == {Ok}
        assert {type(outcome) for outcome in append_all(kv, ["last"])} == {Ok}
    assert network.server.values["k"] == "".join(TOKENS) + "last"
    assert set(network.server.effects.values()) == {1}


def test_a_portion_is_kept_behind_an_older_one_that_is_kept(tmp_path):
    """A call that may have run and is refused for a token stays in the outbox, and nothing passes it."""
    network = Scripted("ok", "ok", LOST, *[Received(401, b"")] * 9)
    with client(network, outbox=tmp_path / "o", semantics="exactly-once", timeout_s=9.0) as kv:
        outcomes = append_all(kv)
        assert [type(outcome) for outcome in outcomes] == [Ok] * 250 + [Unknown] * 350
        assert kv.unanswered == 350
        assert sent(network)[3:] == []
        network.script.clear()
        assert {type(one.outcome) for one in kv.resume()} == {Ok}
    assert network.server.values["k"] == "".join(TOKENS)


@pytest.mark.parametrize(("semantics", "transactions"), [("at-most-once", 0), ("exactly-once", 2)])
def test_a_batch_costs_the_outbox_no_more_transactions_than_a_call(tmp_path, semantics, transactions):
    """Each is a wait for the disk: one before the first attempt leaves, one before the reply is handed over."""
    network = Scripted()
    with client(network, outbox=tmp_path / "o", semantics=semantics) as kv:
        kv.append("k", "x")
        counts = []
        for tokens in (["one"], TOKENS[:100]):
            counts.append(0)
            count_transactions(kv, counts)
            append_all(kv, tokens)
    assert counts == [transactions] * 2


def count_transactions(kv, counts):
    """Counts them up in the last place of `counts`."""
    box = kv._core.outbox
    commit = type(box)._commit

    def counted(batch):
        counts[-1] += 1
        commit(box, batch)

    box._commit = counted


def test_an_outbox_that_fails_in_the_middle_of_a_batch_hides_no_outcome(tmp_path):
    """The portion whose session it cannot note is kept, and made before what follows; the others have their results."""
    network = Scripted()
    with client(network, outbox=tmp_path / "o", **EXACTLY) as kv:
        box = kv._core.outbox
        assert box is not None
        assign, assigned = box.assign, []

        def full(calls):
            assigned.append(calls)
            if len(assigned) != 2:
                return assign(calls)
            raise OutboxError("disk full")

        box.assign = full
        outcomes = append_all(kv)
        assert [type(outcome) for outcome in outcomes] == [Ok] * 250 + [Unknown] * 250 + [Ok] * 100
        assert isinstance(outcomes[250], Unknown)
        assert (outcomes[250].kept, "disk full" in outcomes[250].reason, kv.unanswered) == (True, True, 0)
    assert network.server.values["k"] == "".join(TOKENS)


def test_a_call_takes_no_place_from_an_older_one(tmp_path):
    """The older one comes first and there is one place: were the newer to hold it, both would wait for ever."""

    class Narrow(ModelServer):
        def _open(self, key):
            reply = super()._open(key)
            return reply._replace(body=reply.body.replace(b'"window":1024', b'"window":1'))

    network = Scripted(server=Narrow())
    with client(network, outbox=tmp_path / "o", **EXACTLY) as kv:
        append_all(kv, ["first"])
        box = kv._core.outbox
        assert box is not None
        put = box.put

        def slow(calls):
            box.put = put
            assert [type(one) for one in append_all(kv, ["older"], timeout_s=0.0)] == [Unknown]
            return put(calls)

        box.put = slow
        assert [type(one) for one in append_all(kv, ["newer"])] == [Ok]
        assert kv.unanswered == 0
    assert network.server.values["k"] == "firstoldernewer"
