"""Identity at /rpc: the rules of sessions and keys are those of the key/value server, by the same gate."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.support.shop import INSERT, Shop


@pytest.fixture
def orders(shop: Shop) -> Shop:
    """A shop with one method."""

    @shop.once.method("shop.order")
    def order(tx, thing: str = "tea", extra: dict[str, Any] | None = None) -> dict[str, str]:
        tx.execute(INSERT, {"thing": thing})
        return {"thing": thing}

    return shop


def name_of(error: Any) -> str:
    """An error's name, or what the result says."""
    return str(error["data"]["name"]) if "code" in error else "replayed" if error.get("_meta") else "ok"


def test_a_call_of_a_session_runs_once_and_is_refused_when_acknowledged(orders: Shop) -> None:
    """Run, replayed, acknowledged, stale."""
    session = orders.session()
    told = [name_of(orders.call("shop.order", session=session, seq=1)) for _ in range(2)]
    told.append(name_of(orders.call("shop.order", session=session, seq=2, acked=1)))
    told.append(name_of(orders.call("shop.order", session=session, seq=1)))
    assert told == ["ok", "replayed", "ok", "stale_call"]
    assert len(orders.sold()) == 2


def test_the_same_identity_with_other_params_is_refused(orders: Shop) -> None:
    """As JSON values after defaults: spelling a default out, or another order of members, is no other call."""
    session = orders.session()
    extra = {"a": 1, "b": {"c": 1.0, "d": 2}}
    assert name_of(orders.call("shop.order", {"extra": extra}, session=session, seq=1)) == "ok"
    same = {"extra": {"b": {"d": 2, "c": 1}, "a": 1}, "thing": "tea"}
    assert name_of(orders.call("shop.order", same, session=session, seq=1)) == "replayed"
    assert name_of(orders.call("shop.order", {"extra": {"a": 2}}, session=session, seq=1)) == "identity_reused"
    assert orders.sold() == ["tea"]


def test_the_window_bounds_how_far_a_seq_may_lead(orders: Shop) -> None:
    """1,024 ahead of what is acknowledged by this call or before; a refusal keeps what it acknowledges."""
    session = orders.session()
    assert name_of(orders.call("shop.order", session=session, seq=1025)) == "window_exceeded"
    assert name_of(orders.call("shop.order", session=session, seq=1024)) == "ok"
    assert name_of(orders.call("shop.order", session=session, seq=1025, acked=1)) == "ok"
    assert name_of(orders.call("shop.order", session=session, seq=3000, acked=10)) == "window_exceeded"
    assert name_of(orders.call("shop.order", session=session, seq=5)) == "stale_call"


def test_a_call_that_failed_acknowledges_all_the_same(shop: Shop) -> None:
    """A late copy of what its client has given up must never run."""

    @shop.once.method("shop.fail")
    def fail(tx) -> None:
        raise OSError

    shop.once.method("shop.order")(lambda tx: {})
    session = shop.session()
    assert shop.call("shop.fail", session=session, seq=2, acked=1)["code"] == -32603
    assert name_of(shop.call("shop.order", session=session, seq=1)) == "stale_call"


def test_an_unknown_closed_or_expired_session_is_refused(orders: Shop) -> None:
    """And stays so; nothing runs."""
    closed, short = orders.session(), orders.session(lease_ms=300)
    assert orders.call("session.close", session=closed) == {"closed": True}
    time.sleep(0.7)
    for session in ("never", closed, short, short):
        assert name_of(orders.call("shop.order", session=session, seq=1)) == "session_unknown"
    assert orders.sold() == []


def test_a_lease_is_renewed_by_calls(orders: Shop) -> None:
    """Writes, and reads that name the session, keep it alive; session.renew too."""
    session = orders.session(lease_ms=600)
    for seq in range(1, 5):
        time.sleep(0.3)
        assert name_of(orders.call("shop.order", session=session, seq=seq)) == "ok"
    for _ in range(3):
        time.sleep(0.3)
        assert orders.call("session.renew", session=session)["lease_ms"] == 600
    assert name_of(orders.call("shop.order", session=session, seq=5)) == "ok"


def test_a_key_at_rpc_is_an_identity_too(orders: Shop) -> None:
    """Other params under it are HTTP 422, a replay has the header; beside a session, or on a batch, it is HTTP 400."""
    body = {"jsonrpc": "2.0", "id": 1, "method": "shop.order", "params": {}}
    first, again = orders.rpc(body, key="k"), orders.rpc(body, key="k")
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    other = orders.rpc({**body, "params": {"thing": "milk"}}, key="k")
    assert other.status_code == 422
    assert other.get_json()["error"]["data"]["name"] == "identity_reused"
    session = orders.session()
    assert orders.rpc({**body, "params": {"_meta": {"session": session, "seq": 1}}}, key="k").status_code == 400
    for key, sent in (("k2", [body]), ("a b", body), ("", body), ("k" * 256, body)):
        assert orders.rpc(sent, key=key).status_code == 400
    assert orders.sold() == ["tea"]


def test_a_key_of_session_open_leaks_no_session(orders: Shop) -> None:
    """The second attempt gets the same name."""
    body = {"jsonrpc": "2.0", "id": 1, "method": "session.open", "params": {}}
    names = {orders.rpc(body, key="k").get_json()["result"]["session"] for _ in range(2)}
    assert len(names) == 1


@pytest.mark.parametrize(
    ("meta", "path"),
    [
        ({"seq": 1}, "seq"),
        ({"session": "s"}, "seq"),
        ({"session": "s", "seq": 1, "acked": 1}, "acked"),
        ({"session": "s", "seq": 0}, "seq"),
        ({"session": None, "seq": 1}, "session"),
    ],
    ids=str,
)
def test_wrong_metadata_is_refused(orders: Shop, meta: dict[str, Any], path: str) -> None:
    """invalid_params with the path of the bad member."""
    error = orders.call("shop.order", {"_meta": meta})
    assert error["data"]["path"] == f"$.params._meta.{path}"


def test_a_deadline_that_is_over_is_refused_and_may_be_tried_again(orders: Shop) -> None:
    """`expired`: nothing has run, and the identity is free."""
    session = orders.session()
    assert name_of(orders.call("shop.order", session=session, seq=1, timeout_ms=0)) == "expired"
    assert name_of(orders.call("shop.order", session=session, seq=1)) == "ok"
    assert orders.sold() == ["tea"]


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        ({"data": b"{", "content_type": "application/json"}, 200, -32700),
        ({"data": b"[]", "content_type": "application/json"}, 200, -32600),
        ({"data": b"{}", "content_type": "text/plain"}, 415, -32600),
        ({"json": {"jsonrpc": "2.0", "id": 1, "method": "none"}}, 200, -32601),
        ({"data": b" " * (4 * 1024 * 1024 + 1), "content_type": "application/json"}, 413, -32600),
    ],
    ids=["cut", "empty-batch", "type", "method", "large"],
)
def test_what_is_no_call_is_refused_as_the_protocol_has_it(orders: Shop, sent: Any, status: int, code: int) -> None:
    """With a JSON-RPC error body whatever the status."""
    response = orders.app.test_client().post("/rpc", **sent)
    assert response.status_code == status
    assert response.get_json()["error"]["code"] == code


def test_other_verbs_are_refused_and_a_notification_has_no_reply(orders: Shop) -> None:
    """405 with Allow and a JSON-RPC body; 204 for a notification, which has run."""
    refused = orders.app.test_client().get("/rpc")
    assert (refused.status_code, refused.headers["Allow"]) == (405, "POST")
    assert refused.get_json()["error"]["code"] == -32600
    assert orders.rpc({"jsonrpc": "2.0", "method": "shop.order"}).status_code == 204
    assert orders.sold() == ["tea"]


def test_records_are_forgotten_with_their_acknowledgement_and_their_session(orders: Shop) -> None:
    """The tables hold what somebody may still ask for, and no more."""
    session = orders.session()
    for seq in range(1, 6):
        orders.call("shop.order", session=session, seq=seq, acked=seq - 1)
    counts = orders.app.extensions["oncerpc"].store
    with counts.read() as reader:
        assert reader.counters()[2:] == (1, 1)
    orders.call("session.close", session=session)
    with counts.read() as reader:
        assert reader.counters()[2:] == (0, 0)
