"""The client as an application sees it, over a server in memory and virtual time where time matters."""

import json
import threading
from contextlib import closing

import pytest

from oncekv.client import (
    Client,
    ClientClosed,
    Failed,
    HttpRefused,
    Ok,
    OutcomeUnknown,
    RetryPolicy,
    Unknown,
    Unreachable,
    connect,
)
from oncekv.kv.errors import VersionMismatch
from oncekv.kv.results import Appended, Written
from oncerpc.client.session.outbox import OutboxError
from oncerpc.client.transport.reply import Received
from oncerpc.wire.errors import (
    Expired,
    InvalidParams,
    InvalidRequest,
    Overloaded,
    SessionUnknown,
    TooManySessions,
    WindowExceeded,
)
from oncerpc.wire.jsonrpc import encode_reply, failure
from oncerpc.wire.results import ReplayMark

from .scripted import EXACTLY, LOST, NO_JITTER, REFUSED, Scripted, append, client
from .simulation import ModelServer


def test_typed_calls_return_structs():
    """Each method answers with its struct, and a replay is marked in it."""
    with client(Scripted("ok", "ok", "reset")) as kv:
        assert kv.append("k", "x") == Appended(version=1, offset=0)
        assert kv.put("j", "x") == Written(version=1, meta=ReplayMark(replayed=True))


def test_definite_errors_are_raised_with_their_attempts():
    """The class is the wire's own, the facts are the server's, and the attempts are listed."""
    with client(Scripted()) as kv, pytest.raises(VersionMismatch) as caught:
        kv.put("k", "x", if_version=7)
    assert caught.value.facts == {"version": 0}
    assert [attempt.result for attempt in caught.value.attempts] == ["error: version_mismatch"]


def test_an_unknown_outcome_lists_its_attempts():
    """The exception's one line tells what happened to each attempt, over which link."""
    with client(Scripted(LOST), semantics="maybe") as kv, pytest.raises(OutcomeUnknown) as caught:
        kv.append("k", "x")
    assert str(caught.value) == "timed out; 1. kv: timed out after 1000 ms"
    assert not caught.value.kept


def test_unreachable_is_definite():
    """Where no attempt left this machine, the call surely did not run."""
    with client(Scripted(*[REFUSED] * 99), timeout_s=1.0) as kv, pytest.raises(Unreachable) as caught:
        kv.append("k", "x")
    assert caught.value.definite
    assert len(caught.value.attempts) > 2


def test_all_attempts_carry_one_identity_and_the_latest_acknowledgement():
    """A retry repeats session, seq and payload; seqs count up; `acked` says what this client holds."""
    network = Scripted("ok", "ok", LOST, LOST)
    with client(network, sends_timeout=False) as kv:
        append(kv)
        append(kv, "y")
        append(kv, "z")
    session = network.metas[0]["session"]
    assert network.metas == [
        {"session": session, "seq": 1, "acked": 0},
        {"session": session, "seq": 2, "acked": 1},
        {"session": session, "seq": 2, "acked": 1},
        {"session": session, "seq": 2, "acked": 1},
        {"session": session, "seq": 3, "acked": 2},
    ]
    ids = [request["id"] for _, request, _ in network.seen[:-1]]
    assert len(set(ids)) == len(ids), "each attempt has an id of its own"


@pytest.mark.parametrize("semantics", ["maybe", "at-least-once"])
def test_calls_without_a_promise_to_keep_open_no_session(semantics):
    """Without an identity there is nothing to open, to carry or to close."""
    network = Scripted()
    with client(network, semantics=semantics, sends_timeout=False) as kv:
        append(kv)
    assert [request["method"] for _, request, _ in network.seen] == ["kv.append"]
    assert network.metas == [{}]


def test_an_abandoned_call_is_acknowledged():
    """An unknown call is never tried again, so the next call lets the server refuse it for good."""
    network = Scripted("ok", LOST, LOST)
    with client(network, timeout_s=1.5, sends_timeout=False) as kv:
        assert isinstance(append(kv), Unknown)
        append(kv, "y")
    assert network.metas[-1] | {"session": ""} == {"session": "", "seq": 2, "acked": 1}


def test_timeout_ms_is_how_long_an_answer_is_of_use(tmp_path):
    """Without identity that is the attempt's time, with one the time to the deadline, in exactly-once for ever."""
    found = {}
    for semantics in ("maybe", "at-least-once", "at-most-once", "exactly-once"):
        network = Scripted()
        with client(network, semantics=semantics, timeout_s=8.0, outbox=tmp_path / semantics) as kv:
            append(kv)
        found[semantics] = network.metas[0].get("timeout_ms")
    assert found.pop("exactly-once") is None
    assert found.pop("at-most-once") in range(7900, 8001)
    assert found == {"maybe": 1000, "at-least-once": 1000}


def test_a_retry_moves_on_to_the_next_link_and_stays_where_it_was_answered():
    """Links are tried in turn; a call begins on the link that answered last, or on the first if so chosen."""
    for stays, urls in ((True, ["a", "b", "b", "b"]), (False, ["a", "b", "a", "a"])):
        network = Scripted(LOST)
        links = ["a=http://a", "b=http://b"]
        with connect(
            links, semantics="at-least-once", retry=NO_JITTER, environment=network.environment, stays_on_good_link=stays
        ) as kv:
            outcomes = [append(kv) for _ in range(3)]
        assert [url[len("http://")] for url, _, _ in network.seen] == urls
        assert [attempt.link for attempt in outcomes[0].attempts] == ["a", "b"]


def test_the_schedule_is_obeyed():
    """Waits grow to their bound, and a Retry-After is waited for."""
    busy = Received(503, encode_reply(None, failure(Overloaded())), retry_after="0.35")
    network = Scripted(LOST, LOST, busy, LOST)
    with client(network, semantics="at-least-once", timeout_s=None) as kv:
        assert isinstance(append(kv), Ok)
    assert network.pauses[:4] == pytest.approx([0.1, 0.2, 0.4, 0.4])
    network = Scripted(busy)
    with client(network, semantics="at-least-once", timeout_s=None) as kv:
        append(kv)
    assert network.pauses[0] == pytest.approx(0.35)


@pytest.mark.parametrize("timeout_s", [0.0, 0.005, 0.3, 2.0, 3.7])
def test_no_call_outlives_its_deadline(timeout_s):
    """All attempts and waits together end by the deadline."""
    network = Scripted(*[LOST] * 99)
    with client(network, semantics="at-least-once", timeout_s=timeout_s) as kv:
        outcome = append(kv)
        assert network.now_s <= timeout_s + 1e-9
    assert isinstance(outcome, Unknown if timeout_s > 0.01 else Failed)


def test_attempts_are_bounded_if_so_chosen():
    """attempts_max ends a call also without a deadline."""
    network = Scripted(*[LOST] * 99)
    policy = RetryPolicy(attempts_max=3)
    with connect(
        "http://kv", semantics="at-least-once", timeout_s=None, retry=policy, environment=network.environment
    ) as kv:
        assert len(append(kv).attempts) == 3


def test_a_long_outage_lists_its_first_and_last_attempts():
    """The list of attempts is bounded; their numbers tell how many there were."""
    network = Scripted(*[REFUSED] * 500)
    with client(network, semantics="at-least-once", timeout_s=None) as kv:
        attempts = append(kv).attempts
    assert len(attempts) <= 64
    assert (attempts[0].number, attempts[-1].number) == (1, 501)


def test_a_call_may_choose_its_own_promise(tmp_path):
    """Semantics and timeout of one call, or of a view, differ from the client's and leave it as it is."""
    network = Scripted()
    with client(network, outbox=tmp_path / "o") as kv:
        append(kv, semantics="maybe")
        append(kv, semantics="exactly-once")
        kv.using(semantics="at-least-once").append("k", "x")
        append(kv)
        assert kv.calls_begun == 1
    assert [meta.get("seq") for meta in network.metas] == [None, 1, None, 2]


@pytest.mark.parametrize("semantics", ["exactly-once", "twice", ""])
def test_a_promise_that_cannot_be_kept_is_refused(semantics):
    """Exactly-once without an outbox, or a semantics that does not exist, is an error where it is chosen."""
    with pytest.raises(ValueError, match=r"outbox|is not a semantics"):
        client(Scripted(), semantics=semantics)
    with client(Scripted()) as kv, pytest.raises(ValueError, match=r"outbox|is not a semantics"):
        append(kv, semantics=semantics)


def test_meta_is_the_clients_own():
    """Two identities in one call would be one too many."""
    with client(Scripted()) as kv, pytest.raises(ValueError, match="_meta"):
        kv.outcome("kv.append", {"key": "k", "value": "x", "_meta": {}})


@pytest.mark.parametrize("semantics", ["maybe", "at-least-once"])
def test_a_meta_of_the_callers_own_goes_as_it_is(semantics):
    """Where the client gives no identity, the application may: nothing is added to it, and nothing taken away."""
    network = Scripted()
    meta = {"session": json.loads(network.server._open("any").body)["session"], "seq": 1, "acked": 0}
    with client(network, semantics=semantics) as kv:
        outcome = append_of(kv, meta)
        assert isinstance(outcome, Ok)
        again = append_of(kv, meta)
        assert isinstance(again, Ok)
        assert (outcome.replayed, again.replayed) == (False, True)
    assert network.metas == [meta, meta]


def append_of(kv, meta):
    """One append with that `_meta`."""
    return kv.outcome("kv.append", {"key": "k", "value": "x", "_meta": meta})


def test_params_that_are_no_json_begin_nothing():
    """What cannot be sent uses up no seq and opens no session."""
    network = Scripted()
    with client(network) as kv:
        with pytest.raises(TypeError):
            kv.outcome("kv.append", {"key": object()})
        assert network.seen == []


def test_changing_the_params_while_the_call_runs_changes_nothing():
    """Every attempt carries what the caller passed."""
    network = Scripted("ok", LOST)
    params = {"key": "k", "value": "x"}
    network.wait = lambda seconds: params.update(value="other")  # type: ignore[method-assign]
    with client(network) as kv:
        assert isinstance(kv.outcome("kv.append", params), Ok)
    assert [request["params"].get("value") for _, request, _ in network.seen[1:3]] == ["x", "x"]


def test_the_token_goes_with_every_request_and_is_not_shown():
    """Batches and the session's own calls carry it, and no repr has it."""
    network = Scripted()
    with client(network, token="sesame") as kv:
        append(kv)
        with kv.batch() as batch:
            batch.append("k", "y")
        assert "sesame" not in repr(kv._core._options)
    assert {headers["Authorization"] for _, _, headers in network.seen} == {"Bearer sesame"}


def test_a_session_is_opened_under_a_key_and_closed_at_the_end():
    """A lost reply to session.open leaks nothing: its retry has the same Idempotency-Key."""
    network = Scripted(LOST)
    with client(network, session_lease_ms=5000) as kv:
        append(kv)
    opens = [(one["params"], headers["Idempotency-Key"]) for _, one, headers in network.seen[:2]]
    assert opens[0] == opens[1] == ({"lease_ms": 5000}, opens[0][1])
    assert [request["method"] for _, request, _ in network.seen[2:]] == ["kv.append", "session.close"]


def test_a_session_that_cannot_be_opened_is_a_definite_failure():
    """However many replies to session.open were lost, the call itself never left."""
    with client(Scripted(*[LOST] * 9), timeout_s=2.5) as kv:
        outcome = append(kv)
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, Unreachable)
    assert outcome.error.message.startswith("no session could be opened")
    assert [attempt.result for attempt in outcome.attempts] == ["timed out"] * 3


@pytest.mark.parametrize(
    ("received", "error", "attempts"),
    [
        (Received(401, b""), HttpRefused, 1),
        (Received(200, encode_reply(None, failure(Overloaded()))), Overloaded, 4),
        (Received(503, encode_reply(1, failure(Overloaded()))), Overloaded, 4),
    ],
    ids=["no_token", "overloaded", "busy"],
)
def test_a_refused_session_is_the_calls_own_refusal(received, error, attempts):
    """Why no session could be opened is what the caller is told."""
    with client(Scripted(*[received] * 9), timeout_s=1.0) as kv:
        outcome = append(kv)
    assert isinstance(outcome, Failed)
    assert type(outcome.error) is error
    assert len(outcome.attempts) == attempts


def test_a_session_limit_is_waited_for():
    """too_many_sessions may pass, like any refusal for load."""

    class Full(ModelServer):
        full = 2

        def _open(self, key):
            self.full -= 1
            if self.full >= 0:
                raise TooManySessions()
            return super()._open(key)

    with client(Scripted(server=Full())) as kv:
        assert isinstance(append(kv), Ok)


@pytest.mark.parametrize("refusal", [TooManySessions(), Overloaded(), Expired()], ids=lambda one: one.name)
def test_a_session_refused_for_now_does_not_empty_the_outbox(tmp_path, refusal):
    """What may pass gives no exactly-once call up: it is kept at the deadline, and finished once there is room."""
    network = Scripted(*[Received(200, encode_reply(number, failure(refusal))) for number in range(1, 99)])
    with client(network, semantics="exactly-once", timeout_s=1.0, outbox=tmp_path / "o") as kv:
        outcome = append(kv)
        assert isinstance(outcome, Unknown)
        assert (outcome.kept, refusal.message in outcome.reason, kv.unanswered) == (True, True, 1)
        network.script.clear()
        assert [type(one.outcome) for one in kv.resume()] == [Ok]
    assert network.server.effects == {"x": 1}


@pytest.mark.parametrize("refusal", [InvalidParams(), InvalidRequest()], ids=lambda one: one.name)
def test_a_session_refused_for_good_is_the_end_of_an_exactly_once_call(tmp_path, refusal):
    """What will be refused for ever is a definite failure, and stands in nobody's way."""
    network = Scripted(Received(200, encode_reply(1, failure(refusal))))
    with client(network, semantics="exactly-once", timeout_s=1.0, outbox=tmp_path / "o") as kv:
        outcome = append(kv)
        assert isinstance(outcome, Failed)
        assert (type(outcome.error), len(outcome.attempts), kv.unanswered) == (type(refusal), 1, 0)


def test_a_lost_session_is_replaced_if_the_call_surely_never_ran():
    """An idle client whose lease ran out goes on as if nothing had been."""
    network = Scripted()
    with client(network) as kv:
        append(kv)
        network.server.forget_sessions()
        outcome = append(kv, "y")
    assert isinstance(outcome, Ok)
    assert [attempt.result for attempt in outcome.attempts] == ["error: session_unknown", "ok"]
    assert network.metas[-1]["seq"] == 1


def test_a_call_that_needs_another_session_while_the_client_closes_is_kept(tmp_path):
    """Its session is gone, it surely never ran, and no call begins any more: for exactly-once that is no end."""
    clients: list[Client] = []

    class Closing(ModelServer):
        def _gate(self, session, method, params, meta):
            clients[0]._core.session.close()
            raise SessionUnknown

    network = Scripted(server=Closing())
    with client(network, semantics="exactly-once", outbox=tmp_path / "o") as kv:
        clients.append(kv)
        outcome = append(kv)
        assert isinstance(outcome, Unknown)
        assert (outcome.kept, kv.unanswered) == (True, 1)
    with client(Scripted(), semantics="exactly-once", outbox=tmp_path / "o") as kv:
        assert [type(one.outcome) for one in kv.recovered] == [Unknown], "sent once, under a session that is gone"


def test_a_server_that_forgets_every_session_at_once_is_not_tried_for_ever():
    """Reissuing is bounded, and the failure is definite: no attempt ever ran."""

    class Forgetful(ModelServer):
        def _open(self, key):
            reply = super()._open(key)
            self.forget_sessions()
            return reply

    network = Scripted(server=Forgetful())
    with client(network) as kv:
        outcome = append(kv)
    assert isinstance(outcome, Failed)
    assert outcome.error.name == "session_unknown"
    assert len(network.metas) == 4


def test_a_full_window_is_a_definite_failure_at_the_deadline(tmp_path):
    """Calls that the outbox keeps hold the window; a further one waits its time and surely was not sent."""

    class Narrow(ModelServer):
        def _open(self, key):
            reply = super()._open(key)
            return reply._replace(body=reply.body.replace(b'"window":1024', b'"window":1'))

    network = Scripted("ok", *[LOST] * 9, server=Narrow())
    with client(network, semantics="exactly-once", timeout_s=0.5, outbox=tmp_path / "o") as kv:
        assert isinstance(append(kv), Unknown)
        outcome = append(kv, "y", semantics="at-most-once", timeout_s=0.05)
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, WindowExceeded)


def test_renewing_acknowledges_and_tells_the_lease():
    """`renew` keeps an idle client's session; without one there is nothing to renew."""

    class Renewing(ModelServer):
        def _gate(self, session, method, params, meta):
            if method != "session.renew":
                return super()._gate(session, method, params, meta)
            assert meta["acked"] == 1
            return super()._open("any")

    network = Scripted(server=Renewing())
    with client(network) as kv:
        assert kv.renew() is None
        append(kv)
        assert kv.renew() == 1000


def test_a_closed_client_makes_no_call():
    """After `close`, each call is a definite failure, and closing again does nothing."""
    kv = client(Scripted())
    kv.close()
    kv.close()
    outcome = append(kv)
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, ClientClosed)
    with pytest.raises(ClientClosed):
        kv.put("k", "x")


def test_closing_ends_a_call_that_waits_for_its_next_attempt():
    """A thread in an endless outage comes back when the client is closed, and is told the truth."""
    network = Scripted("ok", LOST, *[REFUSED] * 100_000)
    policy = RetryPolicy(first_delay_s=60, delay_max_s=60)
    with closing(connect("http://127.0.0.1:1", semantics="at-least-once", timeout_s=None, retry=policy)) as kv:
        kv._core._retry_loop.environment.transport.post = network.post  # type: ignore[method-assign]
        found = []
        network.script = [LOST, REFUSED]
        thread = threading.Thread(target=lambda: found.append(append(kv)))
        thread.start()
        while not kv._core.in_flight._inside:
            pass
        kv.close()
        thread.join(5)
    assert isinstance(found[0], Unknown | Failed)
    assert "client was closed" in str(found[0])


def test_exactly_once_keeps_what_a_deadline_cuts_short(tmp_path):
    """The caller is told unknown and kept; the next resume finishes the call, and it runs once."""
    network = Scripted("ok", LOST, LOST)
    with client(network, semantics="exactly-once", timeout_s=1.0, outbox=tmp_path / "o") as kv:
        with pytest.raises(OutcomeUnknown) as caught:
            kv.append("k", "x")
        assert caught.value.kept
        assert kv.has_unanswered
        network.script.clear()
        assert [(one.method, type(one.outcome)) for one in kv.resume()] == [("kv.append", Ok)]
        assert not kv.has_unanswered
    assert network.server.effects == {"x": 1}


def test_exactly_once_keeps_a_call_even_if_no_session_could_be_opened(tmp_path):
    """The call is in the outbox before anything leaves; the next process makes it, once."""
    down = Scripted(*[REFUSED] * 99)
    with client(down, semantics="exactly-once", timeout_s=0.5, outbox=tmp_path / "o") as kv:
        outcome = append(kv)
    assert isinstance(outcome, Unknown)
    assert outcome.kept
    up = Scripted()
    with client(up, semantics="exactly-once", outbox=tmp_path / "o") as kv:
        assert [type(one.outcome) for one in kv.recovered] == [Ok]
        assert kv.calls_begun == 1
    assert up.server.effects == {"x": 1}


def test_a_wrong_token_does_not_empty_the_outbox(tmp_path):
    """A call that may have run stays in the outbox while HTTP refuses it, and is finished when that is mended."""
    server = ModelServer()
    network = Scripted("ok", LOST, server=server)
    with client(network, semantics="exactly-once", timeout_s=0.8, outbox=tmp_path / "o") as kv:
        append(kv)
    shut = Scripted(*[Received(401, b"")] * 9, server=server)
    with client(shut, semantics="exactly-once", outbox=tmp_path / "o") as kv:
        assert [one.outcome.kept for one in kv.recovered if isinstance(one.outcome, Unknown)] == [True]
    with client(Scripted(server=server), semantics="exactly-once", outbox=tmp_path / "o") as kv:
        assert [type(one.outcome) for one in kv.recovered] == [Ok]
    assert server.effects == {"x": 1}


def test_a_refused_exactly_once_call_leaves_the_outbox(tmp_path):
    """A definite failure is an answer: nothing is left to resume."""
    with client(Scripted(), semantics="exactly-once", outbox=tmp_path / "o") as kv:
        assert isinstance(kv.outcome("kv.put", {"key": "k", "value": "x", "if_version": 9}), Failed)
        assert not kv.has_unanswered


@pytest.mark.parametrize("semantics", ["at-most-once", "exactly-once"])
def test_each_process_opens_a_session_of_its_own_and_closes_it(tmp_path, semantics):
    """With an outbox as without: a session that the file handed on would be one for each copy of the file."""
    server = ModelServer()
    metas = []
    for _ in range(3):
        network = Scripted(server=server)
        with client(network, outbox=tmp_path / "o", semantics=semantics, sends_timeout=False) as kv:
            append(kv)
        metas += network.metas
    assert [(meta["seq"], meta["acked"]) for meta in metas] == [(1, 0)] * 3
    assert len({meta["session"] for meta in metas}) == 3
    assert server._sessions == {}


def test_a_call_that_another_thread_makes_is_not_resumed(tmp_path):
    """`resume` takes only what nobody here is making."""
    clients: list[Client] = []
    inside = []
    network = Scripted("ok", LOST)
    network.wait = lambda seconds: inside.append(list(clients[0].resume()))  # type: ignore[method-assign]
    with client(network, semantics="exactly-once", outbox=tmp_path / "o") as kv:
        clients.append(kv)
        assert isinstance(append(kv), Ok)
    assert inside == [[]]


def test_an_interrupted_call_is_abandoned_or_kept(tmp_path):
    """Ctrl-C: at-most-once never tries the call again, exactly-once finishes it at the next resume."""

    class Interrupting(Scripted):
        interrupts = False

        def post(self, url, body, headers, timeout_s):
            answer = super().post(url, body, headers, timeout_s)
            if self.interrupts:
                raise KeyboardInterrupt
            return answer

    network = Interrupting()
    with client(network, outbox=tmp_path / "o") as kv:
        append(kv, "a")
        for semantics in ("at-most-once", "exactly-once"):
            network.interrupts = True
            with pytest.raises(KeyboardInterrupt):
                append(kv, semantics, semantics=semantics)
            network.interrupts = False
        append(kv, "b")
        assert network.metas[-1]["acked"] == 2
        assert [type(one.outcome) for one in kv.resume()] == [Ok]
        append(kv, "c")
        assert network.metas[-1]["acked"] == 4
    assert set(network.server.effects.values()) == {1}


def test_a_client_that_dies_while_it_opens_a_session_leaks_none(tmp_path):
    """The key of the opening is in the outbox before it leaves, so the next process gets that session for the call."""

    class Dying(Scripted):
        def post(self, url, body, headers, timeout_s):
            super().post(url, body, headers, timeout_s)
            raise KeyboardInterrupt

    server = ModelServer()
    with client(Dying(server=server), outbox=tmp_path / "o", **EXACTLY) as kv, pytest.raises(KeyboardInterrupt):
        append(kv)
    with client(Scripted(server=server), outbox=tmp_path / "o", **EXACTLY) as kv:
        assert [type(one.outcome) for one in kv.recovered] == [Ok]
    assert server._names == 1


def test_a_kept_call_that_was_never_sent_can_still_fail_definitely(tmp_path):
    """A resume knows which calls have no identity yet: a refusal of such a one is no unknown."""
    with client(Scripted(*[REFUSED] * 99), semantics="exactly-once", timeout_s=0.5, outbox=tmp_path / "o") as kv:
        assert isinstance(append(kv), Unknown)
    with client(Scripted("ok", Received(413, b"")), semantics="exactly-once", outbox=tmp_path / "o") as kv:
        assert [type(one.outcome) for one in kv.recovered] == [Failed]
        assert not kv.has_unanswered


def test_a_call_is_out_of_the_outbox_before_it_is_acknowledged(tmp_path):
    """Were it the other way round, a crash in between would resume a call that the server must refuse as stale."""
    with client(Scripted(), semantics="exactly-once", outbox=tmp_path / "o") as kv:
        box, acked = kv._core.outbox, []
        assert box is not None
        settle = box.settle

        def watched(ids):
            epoch = kv._core.session.epoch
            assert epoch is not None
            acked.append(epoch.ledger.acked)
            settle(ids)

        box.settle = watched
        append(kv)
        append(kv)
    assert acked == [0, 1]


def test_a_new_exactly_once_call_does_not_overtake_a_kept_one(tmp_path):
    """While an older call stays, a new one is kept behind it, unsent; both are made later, in the order of the calls.

    Were it sent, the older write would come last and undo it, although its "ok" was said.
    """
    network = Scripted("ok", LOST)
    with client(network, outbox=tmp_path / "o", **EXACTLY) as kv:
        assert isinstance(append(kv, "old"), Unknown)
        network.script = [LOST]
        outcome = append(kv, "new")
        assert isinstance(outcome, Unknown)
        assert (outcome.kept, outcome.attempts, kv.unanswered) == (True, (), 2)
        assert isinstance(append(kv, "newest"), Ok)
    assert network.server.values["k"] == "oldnewnewest"


def test_a_resume_stops_at_the_first_call_that_stays(tmp_path):
    """What is behind a call that cannot be finished yet is not tried, so the order is kept over every outage."""
    down = Scripted(*[REFUSED] * 99)
    with client(down, outbox=tmp_path / "o", **EXACTLY) as kv:
        for value in "abc":
            append(kv, value)
    network = Scripted("ok", LOST)
    with client(network, outbox=tmp_path / "o", **EXACTLY) as kv:
        assert [type(one.outcome) for one in kv.recovered] == [Unknown]
        assert [one.params["value"] for one in kv.recovered] == ["a"]
        assert [type(one.outcome) for one in kv.resume()] == [Ok, Ok, Ok]
    assert network.server.values["k"] == "abc"


def test_a_batch_waits_for_older_calls_as_well(tmp_path):
    """Its writes are kept behind the older one, and none is sent."""
    network = Scripted("ok", LOST)
    with client(network, outbox=tmp_path / "o", **EXACTLY) as kv:
        append(kv, "old")
        network.script = [LOST]
        with kv.batch() as batch:
            write, read = batch.append("k", "new"), batch.get("k")
        assert isinstance(write.outcome, Unknown)
        assert (write.outcome.kept, type(read.outcome)) == (True, Failed), "the deadline was over for both"
        append(kv, "last")
    assert network.server.values["k"] == "oldnewlast"


def test_a_kept_call_does_not_fill_the_window_for_ever(tmp_path):
    """One call that an outage has kept holds up no later one, of any semantics, once the outage is over."""
    for semantics in ("exactly-once", "at-most-once"):
        network = Scripted("ok", LOST)
        with client(network, outbox=tmp_path / semantics, **EXACTLY) as kv:
            assert isinstance(append(kv, "kept"), Unknown)
            outcomes = {type(append(kv, "y", semantics=semantics)) for _ in range(1030)}
            assert outcomes == {Ok}
        assert network.server.effects["kept"] == 1


def test_an_outbox_that_cannot_let_a_call_go_makes_it_unknown_and_kept(tmp_path):
    """The effect is there: an OutboxError would say that nothing was begun. A resume gets the recorded reply."""
    network = Scripted()
    with client(network, outbox=tmp_path / "o", **EXACTLY) as kv:
        box = kv._core.outbox
        assert box is not None
        settle = box.settle

        def full(ids):
            raise OutboxError("disk full")

        box.settle = full
        outcome = append(kv)
        assert isinstance(outcome, Unknown)
        assert (outcome.kept, "disk full" in outcome.reason) == (True, True)
        box.settle = settle
        assert [(type(one.outcome), getattr(one.outcome, "replayed", None)) for one in kv.resume()] == [(Ok, True)]
    assert network.server.effects == {"x": 1}


def test_a_call_that_the_outbox_holds_never_ends_as_an_outbox_error(tmp_path):
    """It is in the file and a resume will make it, so "cannot be used, nothing begun" would be a lie."""
    network = Scripted()
    with client(network, outbox=tmp_path / "o", **EXACTLY) as kv:
        box = kv._core.outbox
        assert box is not None
        assign = box.assign

        def full(calls):
            raise OutboxError("disk full")

        box.assign = full
        outcome = append(kv)
        assert isinstance(outcome, Unknown)
        assert outcome.kept
        assert network.metas == [], "sent although the outbox does not know of it"
        box.assign = assign
        assert [type(one.outcome) for one in kv.resume()] == [Ok]
    assert network.server.effects == {"x": 1}


def test_an_outbox_that_cannot_be_read_keeps_what_is_in_it(tmp_path):
    """The older call cannot be resumed then, so the new one, which is in the file, is kept behind it and not sent."""
    network = Scripted("ok", LOST)
    with client(network, outbox=tmp_path / "o", **EXACTLY) as kv:
        assert isinstance(append(kv, "old"), Unknown)
        box = kv._core.outbox
        assert box is not None
        entries = box.entries

        def unreadable():
            raise OutboxError("disk gone")

        box.entries = unreadable
        outcome = append(kv, "new")
        assert isinstance(outcome, Unknown)
        assert (outcome.kept, outcome.attempts) == (True, ())
        box.entries = entries
        assert [type(one.outcome) for one in kv.resume()] == [Ok, Ok]
    assert network.server.values["k"] == "oldnew"


@pytest.mark.parametrize("status", [400, 411, 413, 415])
def test_a_call_that_http_refuses_for_its_body_is_not_kept(tmp_path, status):
    """The same body is refused each time: kept, it would stand in the way of every later call for good."""
    network = Scripted("ok", LOST, Received(status, b""))
    with client(network, outbox=tmp_path / "o", **EXACTLY) as kv:
        outcome = append(kv, timeout_s=9.0)
        assert isinstance(outcome, Unknown)
        assert (outcome.kept, kv.has_unanswered) == (False, False)


def test_a_token_that_no_header_can_carry_is_refused_at_once():
    """Found before the first call, not as an encoding error in the middle of one."""
    with pytest.raises(ValueError, match="printable ASCII"):
        client(Scripted(), token="naïve")


def test_closing_twice_says_farewell_once():
    """A `with` block around a client that was closed already does nothing more."""
    network = Scripted()
    with client(network) as kv:
        append(kv)
        kv.close()
    assert [request["method"] for _, request, _ in network.seen].count("session.close") == 1
