"""`/rpc`: the rules of identity over sessions and keys, as the key/value service has them, on the user's database."""

from __future__ import annotations

import json
import time

import pytest
from sqlalchemy import text

from oncerpc import RpcError
from tests.library.conftest import on_sqlite
from tests.support.caller import request
from tests.support.calling import Rpc
from tests.support.places import write
from tests.support.repetitions import one_in
from tests.support.replies import expect
from tests.support.seed import unique
from tests.support.waiting import let_leases_run_out, until


def serve(place, **options):
    """An application with a write, a read and one that says no."""
    app, once = place.app(**options)

    @once.method("note.write")
    def note(tx, word: str, loud: bool = False) -> dict:
        write(tx, word)
        return {"count": tx.execute(text("SELECT count(*) FROM note")).scalar()}

    @once.method("note.count", reads=True)
    def count(tx) -> int:
        return int(tx.execute(text("SELECT count(*) FROM note")).scalar_one())

    @once.method("note.refuse")
    def refuse(tx) -> dict:
        write(tx, "never")
        raise RpcError(2001, "no", "no", count=tx.execute(text("SELECT count(*) FROM note")).scalar())

    return app


@pytest.fixture
def rpc(place):
    """Its `/rpc`."""
    return Rpc(serve(place))


@pytest.mark.parametrize("kind", ["session", "key"])
def test_another_payload_under_the_same_identity(rpc, place, kind):
    """Another method or other params are refused with identity_reused, nothing runs, and the first reply stays."""
    session, key = rpc.open(), unique()

    def send(method, **params):
        return session.do(1, method, **params) if kind == "session" else rpc.keyed(key, method, **params)

    first = send("note.write", word="a")
    status = 422 if kind == "key" else 200
    expect(send("note.write", word="b"), 1002, status)
    expect(send("note.refuse"), 1002, status)
    again = send("note.write", loud=False, word="a")
    assert (again.replayed, again.bare) == (True, first.bare)
    assert place.notes == ["a"]


def test_what_was_acknowledged_never_runs_again(rpc, place):
    """A late duplicate at or below the watermark is stale_call, and its record is gone."""
    session = rpc.open()
    for seq in (1, 2, 3):
        session.do(seq, "note.write", word=str(seq))
    session.do(4, "note.write", word="4", acked=2)
    assert place.run("SELECT seq FROM once_record ORDER BY seq") == [(3,), (4,)]
    for seq in (1, 2):
        expect(session.do(seq, "note.write", word=str(seq)), 1003)
    assert session.do(3, "note.write", word="3").replayed
    expect(session.do(5, "note.write", word="x", acked=5), -32602)
    assert place.notes == ["1", "2", "3", "4"]


@pytest.mark.parametrize("how", ["result", "error", "exception", "replay", "refusal", "read", "renew"])
def test_every_way_to_acknowledge(rpc, place, how):
    """What an attempt says of its session holds whatever becomes of the attempt, and the highest counts."""
    session = rpc.open()
    for seq in (1, 2, 3):
        session.do(seq, "note.write", word=str(seq))
    if how == "result":
        session.do(4, "note.write", word="4", acked=2)
    elif how == "error":
        assert session.do(4, "note.refuse", acked=2).code == 2001
    elif how == "exception":
        expect(session.do(4, "note.write", word="x" * 999, acked=2), -32603) if place.kind == "postgresql" else None
        session.do(5, "note.write", word="5", acked=2)
    elif how == "replay":
        assert session.do(3, "note.write", word="3", acked=2).replayed
    elif how == "refusal":
        expect(session.do(3, "note.write", word="other", acked=2), 1002)
    elif how == "read":
        rpc.call("note.count", _meta={"session": session.name, "acked": 2})
    else:
        rpc.call("session.renew", _meta={"session": session.name, "acked": 2})
    rpc.call("session.renew", _meta={"session": session.name, "acked": 1})
    expect(session.do(2, "note.write", word="2"), 1003)
    assert place.run("SELECT acked FROM once_session") == [(2,)]


def test_the_window(rpc, place):
    """`seq` may lead by 1,024, and one more is window_exceeded, which is not recorded."""
    session = rpc.open()
    expect(session.do(1025, "note.write", word="x"), 1004)
    assert session.do(1024, "note.write", word="last").ok
    assert session.do(1025, "note.write", word="next", acked=1).ok
    assert place.notes == ["last", "next"]


@pytest.mark.parametrize("refusal", ["window_exceeded", "stale_call", "identity_reused", "expired"])
def test_a_refusal_leaves_no_record(rpc, place, refusal):
    """What was refused has no row, also where it renewed the lease or acknowledged, which is kept."""
    session = rpc.open()
    session.do(1, "note.write", word="a")
    session.do(2, "note.write", word="b", acked=1)
    time.sleep(0.01)  # so that the lease is renewed
    meta: dict[str, int] = {
        "window_exceeded": {"seq": 2000, "acked": 2}, "stale_call": {"seq": 1}, "identity_reused": {"seq": 2},
        "expired": {"seq": 3, "acked": 2, "timeout_ms": 0},
    }[refusal]  # fmt: skip
    codes = {"window_exceeded": 1004, "stale_call": 1003, "identity_reused": 1002, "expired": 1005}
    expect(rpc.call("note.write", word="c", _meta={"session": session.name, **meta}), codes[refusal])
    assert place.run("SELECT seq FROM once_record") == ([] if "acked" in meta else [(2,)])
    assert place.run("SELECT acked FROM once_session") == [(2 if "acked" in meta else 1,)]


@pytest.mark.parametrize("meta", [{"seq": 1}, {"session": "S"}, {"session": "S", "seq": 0}, {"session": None, "seq": 1},
                                  {"session": "S", "seq": "1"}, 5])  # fmt: skip
@on_sqlite
def test_metadata_that_means_nothing(rpc, place, meta):
    """It is invalid_params with the path, and nothing runs."""
    name = rpc.open().name
    given = {**meta, "session": name} if isinstance(meta, dict) and meta.get("session") == "S" else meta
    assert expect(rpc.call("note.write", word="a", _meta=given), -32602)["path"].startswith("$.params._meta")
    assert place.notes == []


def test_a_session_that_is_not_there(rpc, place):
    """Never opened, closed, or guessed: session_unknown, nothing runs, and it never comes back."""
    session = rpc.open()
    session.do(1, "note.write", word="a")
    assert rpc.call("session.close", _meta={"session": session.name}).ok == {"closed": True}
    for name in (session.name, "guessed", session.name[:-1] + "'"):
        expect(rpc.call("note.write", word="b", _meta={"session": name, "seq": 2}), 1001)
        expect(rpc.call("session.renew", _meta={"session": name}), 1001)
    assert place.notes == ["a"]
    assert place.run("SELECT count(*) FROM once_record") == [(0,)]


def test_sessions_are_each_others_strangers(rpc, place):
    """The same seq in another session is another call."""
    assert [rpc.open().do(1, "note.write", word="a").replayed for _ in range(3)] == [False] * 3
    assert len(place.notes) == 3


def test_a_lease_runs_out(rpc, place):
    """After it the session is unknown, its records are gone, and it stays so; a call in time renews it."""
    session = rpc.open(lease_ms=1500)
    for seq in range(1, 4):
        time.sleep(0.8)
        assert session.do(seq, "note.write", word=str(seq)).ok
    let_leases_run_out(1550)
    for _ in range(2):
        expect(session.do(4, "note.write", word="late"), 1001)
    assert len(place.notes) == 3
    assert place.run("SELECT count(*) FROM once_session") == [(0,)]


def test_the_time_that_no_server_is_up_does_not_count(place):
    """A session outlives a restart that takes longer than its lease."""
    first = Rpc(serve(place))
    session = first.open(lease_ms=1500)
    assert session.do(1, "note.write", word="a").ok
    time.sleep(1.7)  # nobody asks `first` any more: as if it were down
    second = Rpc(serve(place))
    assert session.at(second).do(1, "note.write", word="a").replayed
    let_leases_run_out(1600)
    expect(session.at(second).do(1, "note.write", word="a"), 1001)


@pytest.mark.parametrize("keyed", one_in(2, [False, True], "who has a lease"))
def test_a_server_that_started_later_gives_whole_leases(place, keyed):
    """A session that a fresh process opens lives as long as it says at one that has been idle for longer than that."""
    old = Rpc(serve(place))
    lease_ms = 3000  # long enough for a busy machine
    time.sleep(3.3)
    young = Rpc(serve(place))
    opens = (
        young.keyed("k", "session.open", lease_ms=lease_ms) if keyed else young.call("session.open", lease_ms=lease_ms)
    )
    opened = opens.ok
    assert old.call("note.count", _meta={"session": opened["session"]}).code is None
    time.sleep(1.6)
    assert old.call("note.write", word="a", _meta={"session": opened["session"], "seq": 1}).ok
    time.sleep(1.6)
    assert young.call("note.write", word="a", _meta={"session": opened["session"], "seq": 1}).replayed
    let_leases_run_out(lease_ms + 100)
    expect(old.call("note.write", word="a", _meta={"session": opened["session"], "seq": 1}), 1001)


def test_session_open_may_carry_a_key(rpc, place):
    """So that a lost reply leaks no session: the second attempt gets the first one's."""
    first, second = (rpc.keyed("k", "session.open") for _ in range(2))
    assert first.result["session"] == second.result["session"]
    assert second.replayed
    assert place.run("SELECT count(*) FROM once_session") == [(1,)]


@pytest.mark.parametrize("key", ["", "a b", "k" * 256, "\xe9", "a,b"])
@on_sqlite
def test_a_malformed_key_at_rpc(rpc, place, key):
    """It is HTTP 400, with a JSON-RPC error, and nothing runs."""
    response = rpc.post(request("note.write", {"word": "a"}, id=1), {"Idempotency-Key": key})
    assert response.status_code == 400
    assert json.loads(response.data)["error"]["code"] == -32600
    assert place.notes == []


@on_sqlite
def test_a_key_that_is_misplaced(rpc, place):
    """On a batch, or beside a session: HTTP 400, and nothing runs."""
    session = rpc.open()
    meta = {"session": session.name, "seq": 1}
    for document in (
        [request("note.write", {"word": "a"}, id=1)],
        request("note.write", {"word": "a", "_meta": meta}, id=1),
    ):
        assert rpc.post(document, {"Idempotency-Key": "k"}).status_code == 400
    assert place.notes == []


def test_keys_at_rpc_are_the_callers_own(place):
    """By the Authorization header, or by `scope`, as those of views."""
    app = serve(place)
    for who in ("a", "b"):
        rpc = Rpc(app, {"Authorization": f"Bearer {who}"})
        assert [rpc.keyed("k", "note.write", word=who).replayed for _ in range(2)] == [False, True]
    assert place.notes == ["a", "b"]


def test_a_key_at_rpc_expires(place):
    """After `key_ttl_s` it is free."""
    rpc = Rpc(serve(place, key_ttl_s=1.5))
    assert [rpc.keyed("k", "note.write", word="a").replayed for _ in range(2)] == [False, True]
    time.sleep(1.6)
    assert not rpc.keyed("k", "note.write", word="b").replayed
    assert place.notes == ["a", "b"]


def test_a_deadline(rpc, place):
    """`timeout_ms` 0 is expired at once: not run and not recorded, so that a later attempt runs."""
    session = rpc.open()
    expect(rpc.call("note.write", word="a", _meta={"session": session.name, "seq": 1, "timeout_ms": 0}), 1005)
    assert not session.do(1, "note.write", word="a").replayed
    assert place.notes == ["a"]


@pytest.mark.parametrize(("verb", "path", "options", "status"), [
    ("GET", "/rpc", {}, 405), ("PUT", "/rpc", {"json": {}}, 405), ("OPTIONS", "/rpc", {}, 405),
    ("POST", "/rpcs", {"json": {}}, 404), ("POST", "/rpc", {"data": b"{}", "content_type": "text/plain"}, 415),
    ("POST", "/rpc", {"data": b" " * (4 * 1024 * 1024 + 1), "content_type": "application/json"}, 413),
    ("POST", "/rpc", {"data": b"{", "content_type": "application/json"}, 200),
    ("GET", "/healthz", {}, 200), ("GET", "/readyz", {}, 200), ("GET", "/metrics", {}, 200),
])  # fmt: skip
@on_sqlite
def test_http_statuses(rpc, verb, path, options, status):
    """As the protocol has them."""
    assert rpc.app.test_client().open(path, method=verb, **options).status_code == status


@on_sqlite
def test_a_notification_and_nothing(rpc, place):
    """It runs, and HTTP 204 comes back."""
    assert rpc.post(request("note.write", {"word": "a"})).status_code == 204
    assert place.notes == ["a"]


@on_sqlite
def test_another_path(place):
    """`path` is where JSON-RPC is, and nowhere else."""
    app = serve(place, path="/api/calls")
    assert app.test_client().post("/api/calls", json=request("note.count", id=1)).status_code == 200
    assert app.test_client().post("/rpc", json=request("note.count", id=1)).status_code == 404


def test_two_applications_on_one_database(place):
    """With the same prefix they are one service: what ran at one is replayed, stale or reused at the other."""
    here, there = Rpc(serve(place)), Rpc(serve(place))
    session = here.open()
    session.do(1, "note.write", word="a")
    assert session.at(there).do(1, "note.write", word="a").replayed
    session.at(there).do(2, "note.write", word="b", acked=1)
    expect(session.do(1, "note.write", word="a"), 1003)
    here.keyed("k", "note.write", word="c")
    assert there.keyed("k", "note.write", word="c").replayed
    expect(there.keyed("k", "note.write", word="d"), 1002, 422)
    assert place.notes == ["a", "b", "c"]


def test_a_restart_forgets_nothing(place):
    """Records, watermarks and sessions are the database's."""
    session = Rpc(serve(place)).open()
    session.do(1, "note.write", word="a")
    session.do(2, "note.write", word="b", acked=1)
    later = session.at(Rpc(serve(place)))
    expect(later.do(1, "note.write", word="a"), 1003)
    assert later.do(2, "note.write", word="b").replayed
    assert place.notes == ["a", "b"]


@pytest.mark.parametrize("guess", ["other session", "key of another", "same seq"])
def test_a_client_that_guesses(place, guess):
    """What one client sends neither reads nor disturbs another's records."""
    app = serve(place)
    alice, mallory = (Rpc(app, {"Authorization": who}) for who in ("alice", "mallory"))
    session = alice.open()
    session.do(1, "note.write", word="hers")
    alice.keyed("k", "note.write", word="hers too")
    if guess == "other session":
        expect(mallory.call("note.write", word="hers", _meta={"session": session.name.swapcase(), "seq": 1}), 1001)
    elif guess == "key of another":
        assert not mallory.keyed("k", "note.write", word="his").replayed
    else:
        assert not mallory.open().do(1, "note.write", word="his").replayed
    assert session.do(1, "note.write", word="hers").replayed
    assert alice.keyed("k", "note.write", word="hers too").replayed


def test_a_record_is_never_half_there(rpc, place):
    """After a call that raised, its identity is as if it had never come, on both kinds of record."""
    session = rpc.open()
    long = "x" * 300 if place.kind == "postgresql" else None
    expect(session.do(1, "note.write", word=long), -32603 if long else -32602)
    rpc.keyed("k", "note.write", word=long)
    assert place.run("SELECT count(*) FROM once_record") == place.run("SELECT count(*) FROM once_key") == [(0,)]
    assert not session.do(1, "note.write", word="short").replayed


def test_what_has_expired_is_pruned_in_passing(place):
    """Once a minute at most, after a request; here the minute is made to be over."""
    app = serve(place, key_ttl_s=0.05)
    rpc = Rpc(app)
    rpc.keyed("old", "note.write", word="a")
    time.sleep(0.1)
    app.extensions["oncerpc"].pruner._due_s = 0
    rpc.call("note.count")
    until(lambda: place.run("SELECT count(*) FROM once_key") == [(0,)], what="the pruning")
