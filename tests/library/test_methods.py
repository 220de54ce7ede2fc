"""JSON-RPC methods: params and results by their annotations, errors, reads, what is recorded and what runs again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
import pytest

from oncerpc import RpcError
from tests.library.conftest import on_sqlite
from tests.support.caller import request
from tests.support.calling import Rpc
from tests.support.places import write
from tests.support.replies import expect
from tests.support.seed import unique

Amount = Annotated[int, msgspec.Meta(gt=0)]


@dataclass
class Payment:
    """A param that is a dataclass."""

    to: str
    amount: Amount
    note: str | None = None


class Receipt(msgspec.Struct):
    """A result that is a Struct."""

    number: int
    paid: list[Payment] = []


@dataclass
class Sum:
    """A result that is a dataclass."""

    total: int


@pytest.fixture
def shop(place):
    """An application with methods of every kind; `ran` counts their handlers' runs."""
    app, once = place.app()
    app.ran = []

    def note(tx, word):
        app.ran.append(word)
        write(tx, word)

    @once.method("shop.pay")
    def pay(tx, payments: list[Payment], how: Literal["cash", "card"] = "cash") -> Receipt:
        """Pay several at once.

        More about it.
        """
        note(tx, f"{how}:{sum(one.amount for one in payments)}")
        return Receipt(7, payments)

    @once.method("shop.sum")
    def add(tx, a: int, b: int = 2, *, c: int = 3) -> Sum:
        note(tx, str(a))
        return Sum(a + b + c)

    @once.method("shop.nothing")
    def nothing(tx) -> None:
        note(tx, "nothing")

    @once.method("shop.plain")
    def plain(tx, value, tags: list[str] = []):  # noqa: B006 copied for each call
        tags.append("seen")
        note(tx, str(value))
        return {"value": value, "tags": tags}

    @once.method("shop.result")
    def result(tx, what: str) -> dict[str, int]:
        note(tx, what)
        return {  # type: ignore[return-value]
            "unlike": {"a": "text"}, "set": {"a": {1}}, "list": [1], "object": {"a": object()}, "number": 5,
            "meta": {"_meta": 1}, "nan": {"a": float("nan")}, "large": {"a" * 5_000_000: 1},
        }[what]  # fmt: skip

    @once.method("shop.fails", errors={2001: "insufficient_funds", 2002: "closed"})
    def fails(tx, how: str) -> dict[str, Any]:
        note(tx, how)
        if how == "no":
            raise RpcError(2001, "insufficient_funds", "not enough money", balance=3)
        if how == "perhaps":
            raise RpcError(2002, "closed", "the till is closed", definite=False)
        if how == "unsent":
            raise RpcError(2002, "closed", "with what JSON cannot say", why=object())
        raise KeyError(how)

    @once.method("shop.flaky")
    def flaky(tx, word: str) -> dict[str, int]:
        note(tx, word)
        if app.ran.count(word) < 3:
            raise OSError("the printer is on fire")
        return {"attempts": app.ran.count(word)}

    @once.method("shop.list", reads=True)
    def listed(tx, first: int = 1) -> list[int]:
        note(tx, "read")
        return list(range(first, 4))

    @once.method("shop.none", reads=True)
    def none(tx) -> None:
        return None

    @once.method("shop.gone", reads=True, errors={2003: "gone"})
    def gone(tx) -> int:
        raise RpcError(2003, "gone", "it is gone")

    @once.method("shop.async")
    async def asynchronous(tx, word: str) -> dict[str, str]:
        note(tx, word)
        return {"word": word}

    return app


PAYMENTS = [{"to": "a", "amount": 1, "note": None}, {"to": "b", "amount": 2, "note": "for bread"}]


def test_params_and_result_by_their_annotations(shop, place):
    """Dataclasses and Structs come and go as JSON objects, and what was left out has its default."""
    result = Rpc(shop).call("shop.pay", payments=PAYMENTS).ok
    assert result == {"number": 7, "paid": PAYMENTS}
    assert place.notes == ["cash:3"]


@pytest.mark.parametrize(("params", "path"), [
    ({}, "$.params"),
    ({"payments": 1}, "$.params.payments"),
    ({"payments": [PAYMENTS[0], {"to": "b", "amount": "2"}]}, "$.params.payments[1].amount"),
    ({"payments": [PAYMENTS[0], {"to": "b", "amount": 0}]}, "$.params.payments[1].amount"),
    ({"payments": [{"to": "b"}]}, "$.params.payments[0]"),
    ({"payments": [], "how": "gold"}, "$.params.how"),
    ({"payments": [], "when": 1}, "$.params.when"),
    ({"payments": None}, "$.params.payments"),
    ({"payments": [{"to": "b", "amount": True}]}, "$.params.payments[0].amount"),
])  # fmt: skip
@on_sqlite
def test_a_wrong_param_is_named_by_its_path(shop, place, params, path):
    """`error.data.path` leads to the wrong param, and nothing runs."""
    assert expect(Rpc(shop).call("shop.pay", **params), -32602)["path"] == path
    assert shop.ran == place.notes == []


@on_sqlite
def test_params_by_position(shop):
    """They follow the order of the function's parameters, keyword-only ones last, and may not be too many."""
    rpc = Rpc(shop)
    assert rpc.send(request("shop.sum", [1], id=1)).ok == {"total": 6}
    assert rpc.send(request("shop.sum", [1, 1, 1], id=1)).ok == {"total": 3}
    expect(rpc.send(request("shop.sum", [1, 1, 1, 1], id=1)), -32602)
    expect(rpc.send(request("shop.sum", [], id=1)), -32602)


@on_sqlite
def test_a_default_that_changes_is_not_shared(shop):
    """A list as a default is each call's own."""
    rpc = Rpc(shop)
    assert [rpc.call("shop.plain", value=one).ok["tags"] for one in (1, None)] == [["seen"], ["seen"]]


def test_none_is_sent_as_an_empty_object(shop):
    """A write without a result answers `{}`, and its replay is marked all the same."""
    first, second = (Rpc(shop).keyed("k", "shop.nothing") for _ in range(2))
    assert first.result == {}
    assert second.result == {"_meta": {"replayed": True}}


@pytest.mark.parametrize("what", ["unlike", "set", "list", "object", "number", "meta", "nan"])
def test_a_result_unlike_its_annotation(shop, place, what, caplog):
    """It is internal_error, nothing stays, nothing is recorded, and the log says what was wrong."""
    for _ in range(2):
        expect(Rpc(shop).keyed("k", "shop.result", what=what), -32603)
    assert shop.ran == [what, what]
    assert place.notes == []
    assert place.run("SELECT count(*) FROM once_key") == [(0,)]
    assert "shop.result" in caplog.text


@on_sqlite
def test_a_result_that_is_too_large(shop, place):
    """Over 4 MiB it is the definite error too_large, and what was written is rolled back."""
    expect(Rpc(shop).keyed("k", "shop.result", what="large"), 24)
    assert place.notes == []


def identities(rpc):
    """Two ways to make the same call again."""
    session = rpc.open()
    key = unique()
    return {"session": lambda *a, **p: session.do(1, *a, **p), "key": lambda *a, **p: rpc.keyed(key, *a, **p)}


@pytest.mark.parametrize("kind", ["session", "key"])
def test_a_call_runs_once(shop, place, kind):
    """A second attempt is answered with the first reply, marked, and does nothing."""
    send = identities(Rpc(shop))[kind]
    first, *others = [send("shop.sum", a=1) for _ in range(3)]
    assert not first.replayed
    assert all(other.replayed and other.bare == first.bare for other in others)
    assert place.notes == ["1"]
    assert others[0].headers.get("Idempotent-Replayed") == ("true" if kind == "key" else None)


@pytest.mark.parametrize("kind", ["session", "key"])
@pytest.mark.parametrize(("how", "error"), [
    ("no", {"code": 2001, "message": "not enough money",
            "data": {"name": "insufficient_funds", "definite": True, "balance": 3}}),
    ("perhaps", {"code": 2002, "message": "the till is closed", "data": {"name": "closed", "definite": False}}),
])  # fmt: skip
def test_an_error_of_the_service_is_recorded(shop, place, kind, how, error):
    """What was written is rolled back, the error is a reply, and it is replayed without a second run."""
    send = identities(Rpc(shop))[kind]
    first, second = send("shop.fails", how=how), send("shop.fails", how=how)
    assert first.error == error
    assert second.error == {**error, "data": {**error["data"], "_meta": {"replayed": True}}}
    assert shop.ran == [how]
    assert place.notes == []


@pytest.mark.parametrize("kind", ["session", "key"])
def test_another_exception_is_not_recorded(shop, place, kind, caplog):
    """It is internal_error without a reason, rolled back; the next attempt runs again and may succeed."""
    send = identities(Rpc(shop))[kind]
    for _ in range(2):
        answer = send("shop.flaky", word="w")
        expect(answer, -32603)
        assert "fire" not in json.dumps(answer.error)
        assert place.notes == []
    assert send("shop.flaky", word="w").ok == {"attempts": 3}
    assert send("shop.flaky", word="w").replayed
    assert place.notes == ["w"]
    assert caplog.text.count("OSError: the printer is on fire") == 2


def test_an_error_that_json_cannot_say(shop, place):
    """It is internal_error and not recorded, as an exception."""
    for _ in range(2):
        expect(Rpc(shop).keyed("k", "shop.fails", how="unsent"), -32603)
    assert len(shop.ran) == 2
    assert place.notes == []


def test_a_read_is_never_recorded(shop, place):
    """It may answer any JSON value, its key counts for nothing, and what it writes is rolled back."""
    rpc = Rpc(shop)
    for _ in range(2):
        answer = rpc.keyed("k", "shop.list", first=2)
        assert answer.result == [2, 3]
        assert "Idempotent-Replayed" not in answer.headers
    assert rpc.call("shop.none").result is None
    assert rpc.call("shop.gone").code == 2003
    assert place.notes == []
    assert place.run("SELECT count(*) FROM once_key") == [(0,)]


def test_a_read_takes_no_seq(shop):
    """With a session alone it renews and acknowledges; a seq is invalid_params, and an ended session is unknown."""
    rpc = Rpc(shop)
    session = rpc.open()
    assert rpc.call("shop.list", _meta={"session": session.name}).result == [1, 2, 3]
    expect(session.do(1, "shop.list"), -32602)
    session.do(1, "shop.sum", a=1)
    rpc.call("shop.list", _meta={"session": session.name, "acked": 1})
    expect(session.do(1, "shop.sum", a=1), 1003)
    rpc.call("session.close", _meta={"session": session.name})
    expect(rpc.call("shop.list", _meta={"session": session.name}), 1001)


def test_a_call_without_identity_runs_each_time(shop, place):
    """Nothing is known of it afterwards."""
    for _ in range(2):
        assert not Rpc(shop).call("shop.sum", a=1).replayed
    assert place.notes == ["1", "1"]


def test_each_call_of_a_batch_is_a_transaction(shop, place):
    """One that fails takes nothing of the others with it, a read sees what came before it, and notifications run."""
    answers = Rpc(shop).batch(
        request("shop.sum", {"a": 1}, id=1),
        request("shop.flaky", {"word": "bad"}, id=2),
        request("shop.fails", {"how": "no"}, id=3),
        request("shop.sum", {"a": 2}),
        request("shop.list", id=4),
        request("shop.sum", {"a": 3}, id=5),
        {"jsonrpc": "2.0", "id": 6, "method": 1},
    )
    assert [(answer.id, answer.code) for answer in answers] == [
        (1, None), (2, -32603), (3, 2001), (4, None), (5, None), (6, -32600),
    ]  # fmt: skip
    assert place.notes == ["1", "2", "3"]


def test_the_same_identity_twice_in_a_batch(shop, place):
    """The second is the first one's duplicate."""
    session = Rpc(shop).open()
    one = {"a": 1, "_meta": {"session": session.name, "seq": 1}}
    first, second = Rpc(shop).batch(request("shop.sum", one, id=1), request("shop.sum", one, id=2))
    assert (first.replayed, second.replayed) == (False, True)
    assert place.notes == ["1"]


@on_sqlite
def test_async_methods(shop, place):
    """`async def` works as it does in Flask."""
    first, second = (Rpc(shop).keyed("k", "shop.async", word="w") for _ in range(2))
    assert (first.ok, second.replayed) == ({"word": "w"}, True)
    assert place.notes == ["w"]


@on_sqlite
def test_discover_lists_methods_and_errors(shop):
    """`rpc.discover` has the service's own methods, their params, results and declared errors."""
    document = Rpc(shop).call("rpc.discover").ok
    found = {method["name"]: method for method in document["methods"]}
    assert {"shop.pay", "shop.list", "session.open", "rpc.discover"} <= set(found)
    assert [one["name"] for one in found["shop.sum"]["params"] if one["name"] in "abc"] == ["a", "b", "c"]
    assert found["shop.pay"]["summary"] == "Pay several at once."
    text = json.dumps(document)
    assert "insufficient_funds" in text
    assert "2001" in text
    assert "debug.failpoint" not in found


@on_sqlite
def test_server_info(shop):
    """It names the application and the database."""
    info = Rpc(shop).call("server.info").ok
    assert (info["name"], info["store"], info["boot"]) == ("shop", "sqlite", 1)


def refused(once, function, name="shop.bad", **options):
    """Why it cannot be a method."""
    with pytest.raises(ValueError, match=name) as raised:
        once.method(name, **options)(function)
    return str(raised.value)


@on_sqlite
def test_what_cannot_be_a_method(place):
    """It is refused where it stands, by its name."""
    _, once = place.app()

    def no_tx() -> dict:
        return {}

    def many(tx, *words) -> dict:
        return {}

    def any_name(tx, **words) -> dict:
        return {}

    def meta(tx, _meta) -> dict:
        return {}

    def untellable(tx, call: object) -> dict:
        return {}

    def unresolved(tx, x: Nowhere) -> dict:  # type: ignore[name-defined]  # noqa: F821
        return {}

    for function in (no_tx, many, any_name, meta, unresolved):
        refused(once, function)
    assert "2000" in refused(once, lambda tx: {}, errors={1001: "x"})
    with pytest.raises(ValueError, match="2000"):
        RpcError(1999, "x", "y")


@on_sqlite
def test_one_name_one_method(place):
    """A second method of the same name is refused, and so is one of the protocol's own."""
    _, once = place.app()
    once.method("shop.sum")(lambda tx: {})
    refused(once, lambda tx: {}, "shop.sum")
    refused(once, lambda tx: {}, "session.open")


@on_sqlite
def test_the_function_stays_what_it_was(place):
    """The decorator gives the function back, to be called by others."""
    _, once = place.app()

    @once.method("shop.twice")
    def twice(tx, n: int) -> dict:
        return {"n": 2 * n}

    assert twice(None, 4) == {"n": 8}
