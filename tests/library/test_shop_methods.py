"""JSON-RPC methods: params and results from annotations, errors, reads, batches."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import pytest
from sqlalchemy import text

from oncerpc import RpcError
from tests.support.shop import INSERT, Shop


@dataclass
class Payment:
    """A part of an order, as a dataclass."""

    amount: Annotated[int, msgspec.Meta(gt=0)]
    note: str = ""


class Address(msgspec.Struct):
    """A part of an order, as a Struct."""

    street: str


@pytest.fixture
def orders(shop: Shop) -> Shop:
    """A shop with methods of every kind."""

    @shop.once.method("shop.order", errors={2001: "sold_out"})
    def order(tx, thing: str, payments: list[Payment] = [], to: Address | None = None) -> dict[str, Any]:  # noqa: B006 a default that JSON has
        """Order something.

        It is recorded.
        """
        tx.execute(INSERT, {"thing": thing})
        if thing == "moon":
            raise RpcError(2001, "sold_out", "there is only one", left=0)
        if thing == "bomb":
            raise OSError("boom")
        return {"thing": thing, "paid": sum(one.amount for one in payments), "to": to.street if to else None}

    @shop.once.method("shop.count", reads=True)
    def count(tx) -> int:
        tx.execute(INSERT, {"thing": "a read that writes"})
        return int(tx.execute(text("SELECT count(*) FROM sold")).scalar_one()) - 1

    @shop.once.method("shop.result")
    def result(tx, kind: str) -> dict[str, int]:
        tx.execute(INSERT, {"thing": kind})
        return {"wrong": {"a": "text"}, "set": object(), "list": [1], "good": {"a": 1}, "meta": {"_meta": 1}}[kind]  # type: ignore[return-value]

    @shop.once.method("shop.nothing")
    def nothing(tx) -> None:
        tx.execute(INSERT, {"thing": "nothing"})

    return shop


def test_params_come_by_name_and_by_position(orders: Shop) -> None:
    """Dataclasses and Structs among them, with their defaults."""
    payments = [{"amount": 3}, {"amount": 4, "note": "n"}]
    assert orders.call("shop.order", {"thing": "tea", "payments": payments})["paid"] == 7
    assert orders.call("shop.order", ["tea", payments, {"street": "x"}]) == {"thing": "tea", "paid": 7, "to": "x"}
    assert orders.call("shop.order", {"thing": "tea"})["paid"] == 0
    assert orders.sold() == ["tea"] * 3


@pytest.mark.parametrize(
    ("params", "path"),
    [
        ({}, "$.params"),
        ({"thing": 3}, "$.params.thing"),
        ({"thing": "tea", "payments": [{"amount": 1}, {"amount": 0}]}, "$.params.payments[1].amount"),
        ({"thing": "tea", "payments": [{"amount": "1"}]}, "$.params.payments[0].amount"),
        ({"thing": "tea", "to": {"street": None}}, "$.params.to.street"),
        ({"thing": "tea", "more": 1}, "$.params.more"),
        (["tea", [], None, 4], "$.params"),
    ],
    ids=str,
)
def test_wrong_params_are_refused_with_their_path(orders: Shop, params: Any, path: str) -> None:
    """invalid_params; nothing ran."""
    error = orders.call("shop.order", params)
    assert error["code"] == -32602
    assert error["data"]["path"] == path
    assert orders.sold() == []


def test_an_error_of_the_service_is_rolled_back_recorded_and_replayed(orders: Shop) -> None:
    """Its name and facts are in the reply; a replay is marked in its data."""
    session = orders.session()
    first = orders.call("shop.order", {"thing": "moon"}, session=session, seq=1)
    assert first == {
        "code": 2001,
        "message": "there is only one",
        "data": {"name": "sold_out", "definite": True, "left": 0},
    }
    again = orders.call("shop.order", {"thing": "moon"}, session=session, seq=1)
    assert again["data"] == {**first["data"], "_meta": {"replayed": True}}
    assert orders.sold() == []


def test_any_other_exception_is_not_recorded_and_the_next_attempt_runs(orders: Shop, caplog) -> None:
    """internal_error without a word of the reason, which is in the log with its traceback."""
    session = orders.session()
    caplog.set_level(logging.ERROR)
    for _ in range(2):
        error = orders.call("shop.order", {"thing": "bomb"}, session=session, seq=1)
        assert (error["code"], error["data"]["definite"]) == (-32603, False)
        assert "boom" not in str(error)
    assert caplog.text.count("OSError: boom") == 2
    assert "shop.order" in caplog.text
    assert orders.sold() == []


@pytest.mark.parametrize("kind", ["wrong", "set", "list", "meta"])
def test_a_result_unlike_its_annotation_is_rolled_back(orders: Shop, kind: str, caplog) -> None:
    """What cannot be sent or recorded is an internal_error, and the log names the method."""
    error = orders.call("shop.result", {"kind": kind}, key="k")
    assert error["code"] == -32603
    assert "shop.result" in caplog.text
    assert orders.sold() == []
    assert orders.call("shop.result", {"kind": "good"}, key="k2") == {"a": 1}


def test_no_result_is_an_empty_object_and_so_is_its_replay(orders: Shop) -> None:
    """A replay is marked beside the members, of which there are none."""
    assert orders.call("shop.nothing", key="k") == {}
    assert orders.call("shop.nothing", key="k") == {"_meta": {"replayed": True}}
    assert orders.sold() == ["nothing"]


def test_a_read_is_never_recorded_and_writes_nothing(orders: Shop) -> None:
    """It may answer any JSON value, takes no seq, and may say something of its session."""
    session = orders.session()
    assert orders.call("shop.count") == 0
    assert orders.call("shop.count", session=session) == 0
    assert orders.call("shop.count", session=session, seq=1)["data"]["path"] == "$.params._meta.seq"
    assert orders.sold() == []
    orders.call("shop.order", {"thing": "tea"}, session=session, seq=1)
    assert orders.call("shop.count", session=session, acked=1) == 1
    assert orders.call("shop.order", {"thing": "tea"}, session=session, seq=1)["data"]["name"] == "stale_call"


def test_in_a_batch_each_call_has_a_transaction_of_its_own(orders: Shop) -> None:
    """One that fails takes nothing of the others with it, and a read sees the writes before it."""
    things = ["tea", "moon", "bomb", "milk"]
    body = [{"jsonrpc": "2.0", "id": n, "method": "shop.order", "params": [thing]} for n, thing in enumerate(things)]
    body.append({"jsonrpc": "2.0", "id": 9, "method": "shop.count"})
    body.append({"jsonrpc": "2.0", "method": "shop.order", "params": ["by the way"]})
    replies = {reply["id"]: reply for reply in orders.rpc(body).get_json()}
    assert [("result" in replies[n]) for n in (0, 1, 2, 3)] == [True, False, False, True]
    assert replies[9]["result"] == 2
    assert orders.sold() == ["by the way", "milk", "tea"]


def test_the_same_identity_twice_in_one_batch_has_one_effect(orders: Shop) -> None:
    """The second is the first one's replay."""
    session = orders.session()
    params = {"thing": "tea", "_meta": {"session": session, "seq": 1}}
    body = [{"jsonrpc": "2.0", "id": n, "method": "shop.order", "params": params} for n in (1, 2)]
    first, second = orders.rpc(body).get_json()
    assert "_meta" not in first["result"]
    assert second["result"]["_meta"] == {"replayed": True}
    assert orders.sold() == ["tea"]


def test_discovery_lists_the_services_methods_and_errors(orders: Shop) -> None:
    """With their summaries, schemas and declared errors, and none of another service's."""
    document = orders.call("rpc.discover")
    methods = {method["name"]: method for method in document["methods"]}
    assert {"shop.order", "shop.count", "session.open", "server.info"} <= set(methods)
    assert methods["shop.order"]["summary"] == "Order something."
    assert {"$ref": "#/components/errors/sold_out"} in methods["shop.order"]["errors"]
    assert document["components"]["errors"]["sold_out"]["code"] == 2001
    assert "version_mismatch" not in document["components"]["errors"]
    assert document["info"]["title"] == "shop"
    assert [param["required"] for param in methods["shop.order"]["params"]] == [True, False, False]


def test_an_async_method_works_as_in_flask(shop: Shop) -> None:
    """It runs in its transaction like any other."""

    @shop.once.method("shop.later")
    async def later(tx, thing: str) -> dict[str, str]:
        tx.execute(INSERT, {"thing": thing})
        return {"thing": thing}

    assert shop.call("shop.later", ["tea"], key="k") == {"thing": "tea"}
    assert shop.call("shop.later", ["tea"], key="k")["_meta"]["replayed"]
    assert shop.sold() == ["tea"]


def test_what_cannot_be_a_method_is_refused_where_it_is_written(shop: Shop) -> None:
    """With the reason, when the module is imported and not when somebody calls."""

    def bare() -> None: ...
    def stars(tx, *more) -> None: ...
    def meta(tx, _meta: int) -> None: ...
    def strange(tx, a: Shop) -> None: ...
    def odd_result(tx) -> Shop: ...  # type: ignore[empty-body]

    bad: list[Any] = [bare, stars, meta, strange, odd_result]
    for number, function in enumerate(bad):
        with pytest.raises(ValueError, match=f"bad{number}"):
            shop.once.method(f"bad{number}")(function)
    with pytest.raises(ValueError, match="1999"):
        shop.once.method("bad.code", errors={1999: "mine"})(lambda tx: {})
    shop.once.method("once.only")(lambda tx: {})
    with pytest.raises(ValueError, match="already"):
        shop.once.method("once.only")(lambda tx: {})
    with pytest.raises(ValueError, match=r"session\.open"):
        shop.once.method("session.open")(lambda tx: {})


def test_error_codes_below_2000_are_an_authors_mistake(shop: Shop, caplog) -> None:
    """Raised in a handler such an error is an internal_error, with the reason in the log."""

    @shop.once.method("shop.wrong")
    def wrong(tx) -> None:
        raise RpcError(7, "mine", "no")

    assert shop.call("shop.wrong")["code"] == -32603
    assert "error code 7" in caplog.text


def test_annotations_of_an_application_factory_are_understood(shop: Shop) -> None:
    """A dataclass that only the factory knows is found, though annotations are text."""

    @dataclass
    class Local:
        n: int

    @shop.once.method("shop.local")
    def local(tx, one: Local) -> Local:
        return Local(one.n + 1)

    assert shop.call("shop.local", [{"n": 1}]) == {"n": 2}
