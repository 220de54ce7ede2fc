"""Ordinary views under an Idempotency-Key."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from typing import Any

import pytest
from flask import Response, abort, jsonify, make_response, request
from flask import session as cookie
from werkzeug.exceptions import HTTPException

from tests.support.shop import Shop


@pytest.fixture
def tea(shop: Shop) -> Shop:
    """A shop whose one view sells tea."""
    shop.view(lambda: (shop.sell("tea"), {"sold": len(shop.sold())})[1])
    return shop


# --- the key ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [("abc", '"abc"'), ("a\\b", '"a\\\\b"'), ('a"b', '"a\\"b"'), ("k" * 255, f'"{"k" * 255}"')],
    ids=range(4),
)
def test_a_key_is_the_same_bare_and_quoted(tea: Shop, one: str, other: str) -> None:
    """In quotes a quote and a backslash are escaped."""
    assert [tea.post(one).replayed, tea.post(other).replayed] == [False, True]
    assert tea.sold() == ["tea"]


@pytest.mark.parametrize(
    "key",
    ["", " ", "a b", "a,b", '"a,b"', '"a b"', '""', '"abc', 'abc"x"' * 50, '"a\\n"', '"a"b"', "k" * 256, "é", '"'],
)
def test_what_is_no_key_is_refused(tea: Shop, key: str) -> None:
    """400 as a problem with type, title, status and detail; nothing runs, required or not."""
    response = tea.response(key)
    assert response.status_code == 400
    assert response.mimetype == "application/problem+json"
    assert {"type", "title", "status", "detail"} <= set(response.get_json(force=True))
    assert tea.sold() == []


def test_a_key_that_comes_twice_is_refused(tea: Shop) -> None:
    """Servers join what comes twice by a comma."""
    headers = [("Idempotency-Key", "a"), ("Idempotency-Key", "a")]
    assert tea.app.test_client().post("/buy", headers=headers).status_code == 400
    assert tea.sold() == []


@pytest.mark.parametrize("required", [True, False])
def test_without_a_key_a_request_runs_once_unless_one_is_required(shop: Shop, required: bool) -> None:
    """Each time that it comes, in a transaction all the same."""
    shop.view(lambda: (shop.sell("tea"), {"ok": 1})[1], required=required)
    statuses = [shop.post(None).status for _ in range(2)]
    assert statuses == ([400, 400] if required else [200, 200])
    assert len(shop.sold()) == (0 if required else 2)


@pytest.mark.parametrize("verb", ["POST", "PUT", "PATCH", "DELETE"])
def test_every_verb_that_changes_something_takes_a_key(tea: Shop, verb: str) -> None:
    """Another verb under the same key is another request."""
    assert [tea.post("k", verb=verb).replayed for _ in range(2)] == [False, True]
    other = "PUT" if verb != "PUT" else "POST"
    assert tea.post("k", verb=other).status == 422
    assert tea.sold() == ["tea"]


# --- what it is bound to ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"rule": "/sell"}, 422),
        ({"query_string": "x=1"}, 422),
        ({"json": {"a": 2, "b": [1, None]}}, 422),
        ({"json": {"a": "1", "b": [1, None]}}, 422),
        ({"data": b"text"}, 422),
        ({"data": b' {"b" : [1.0, null], "a" : 1e0}', "content_type": "application/json"}, 200),
        ({"data": b'{"b":[1,null],"a":1.0000000000000000000000001}', "content_type": "application/json"}, 422),
    ],
    ids=str,
)
def test_a_key_is_bound_to_path_query_and_body(shop: Shop, more: dict[str, Any], status: int) -> None:
    """A body of JSON is compared as a value: order, white space and the way a number is written do not matter."""
    for rule in ("/buy", "/sell"):
        shop.view(lambda: (shop.sell("tea"), {"ok": 1})[1], rule)
    assert shop.post("k", json={"a": 1, "b": [1, None]}).status == 200
    reply = shop.post(
        "k",
        **{"json": None, **more} if "data" in more or "json" in more else {"json": {"a": 1, "b": [1, None]}, **more},
    )
    assert reply.status == status
    assert reply.replayed == (status == 200)
    assert shop.sold() == ["tea"]


def test_a_form_is_bound_even_if_a_hook_has_read_it_before(shop: Shop) -> None:
    """Also where the bytes of the body are gone: its fields and files are compared."""
    shop.app.before_request(lambda: request.form and None)
    shop.view(lambda: (shop.sell(request.form["thing"]), {"ok": 1})[1])

    def send(thing: str, content: bytes) -> int:
        return shop.post("k", data={"thing": thing, "file": (io.BytesIO(content), "a.txt")}).status

    assert send("tea", b"1") == 200
    assert send("milk", b"1") == 422
    assert send("tea", b"2") == 422
    assert shop.sold() == ["tea"]


def test_a_form_and_a_file_arrive_in_the_view(shop: Shop) -> None:
    """That the body was read for the comparison takes nothing away from the view."""
    shop.view(lambda: (shop.sell(request.form["thing"] + request.files["f"].read().decode()), {"ok": 1})[1])
    assert shop.post("k", data={"thing": "tea", "f": (io.BytesIO(b"!"), "a.txt")}).status == 200
    assert shop.sold() == ["tea!"]


def test_keys_of_two_callers_never_meet(tea: Shop) -> None:
    """By default a caller is known by its Authorization header, which is nowhere in the database."""
    one, other = {"Authorization": "Bearer one"}, {"Authorization": "Bearer other"}
    assert [tea.post("k", headers=who).replayed for who in (one, other, {}, one)] == [False, False, False, True]
    assert len(tea.sold()) == 3
    assert "Bearer" not in str(tea.app.test_cli_runner().invoke(args=["once", "show", "k"]).output)


def test_a_scope_of_the_applications_own(new_shop: Callable[..., Shop]) -> None:
    """A function of the request; at /rpc too."""
    shop = new_shop(scope=lambda request: request.headers.get("X-Tenant", "nobody"))
    shop.view(lambda: (shop.sell("tea"), {"ok": 1})[1])
    assert [shop.post("k", headers={"X-Tenant": who}).replayed for who in "aba"] == [False, False, True]
    assert "scope: a" in shop.app.test_cli_runner().invoke(args=["once", "show", "k", "--scope", "a"]).output


# --- what becomes of a reply ------------------------------------------------------------------------------------------


def test_a_replay_has_the_first_reply_and_no_cookie(shop: Shop) -> None:
    """Status, body, Content-Type, Location, ETag and the headers that were named; the mark; never Set-Cookie."""
    shop.app.secret_key = "test"

    def view() -> Response:
        shop.sell("tea")
        cookie["user"] = "me"
        reply = make_response(b"\x00\xffbytes", 201)
        reply.headers.update({"Location": "/orders/17", "X-Kept": "1", "X-Lost": "2", "ETag": '"e"'})
        reply.set_cookie("a", "b")
        reply.content_type = "application/x-tea"
        return reply

    shop.view(view, replay_headers=["X-Kept", "Set-Cookie"])
    first, again = shop.response(), shop.response()
    assert first.headers.getlist("Set-Cookie")
    assert "Idempotent-Replayed" not in first.headers
    assert not again.headers.getlist("Set-Cookie")
    assert again.headers["Idempotent-Replayed"] == "true"
    for name in ("Location", "X-Kept", "ETag", "Content-Type"):
        assert again.headers[name] == first.headers[name], name
    assert "X-Lost" not in again.headers
    assert (again.status, again.data) == (first.status, first.data)


@pytest.mark.parametrize("status", [200, 204, 302, 399, 400, 404, 409, 422, 499, 500, 503])
def test_the_status_says_what_stays_and_what_is_recorded(shop: Shop, status: int) -> None:
    """Below 400 all, below 500 the reply alone, from 500 on nothing."""
    ran: list[int] = []

    def view() -> tuple[str, int]:
        ran.append(len(shop.sell("tea")))
        return "body", status

    shop.view(view)
    replies = [shop.post() for _ in range(2)]
    assert [reply.status for reply in replies] == [status, status]
    assert [reply.replayed for reply in replies] == [False, status < 500]
    assert len(ran) == (1 if status < 500 else 2)
    assert shop.sold() == (["tea"] if status < 400 else [])


def test_abort_and_the_applications_own_handlers_make_replies(shop: Shop) -> None:
    """What an errorhandler answers below 500 is the reply, recorded as any other; else the exception goes its way."""

    class Sold(Exception):
        pass

    @shop.app.errorhandler(Sold)
    def sold(error: Sold):
        return jsonify(sold=str(error)), 409

    @shop.app.errorhandler(404)
    def missing(error: HTTPException):
        return jsonify(missing=1), 404

    @shop.app.errorhandler(KeyError)
    def accepted(error: KeyError):
        return jsonify(accepted=1), 202

    def view(what: str) -> None:
        shop.sell(what)
        if what == "abort":
            abort(404)
        raise {"sold": Sold("out"), "key": KeyError(1), "zero": ZeroDivisionError()}[what]

    shop.view(view, "/buy/<what>")
    for what, status, body in (
        ("sold", 409, {"sold": "out"}),
        ("abort", 404, {"missing": 1}),
        ("key", 202, {"accepted": 1}),
    ):
        assert [shop.post(what, f"/buy/{what}") for _ in range(2)] == [(status, body, False), (status, body, True)]
    assert [shop.post("zero", "/buy/zero")[::2] for _ in range(2)] == [(500, False), (500, False)]
    assert shop.sold() == ["key"]


def test_abort_with_a_response_is_that_response(shop: Shop) -> None:
    """As Flask has it."""
    shop.view(lambda: abort(make_response("no", 418)))
    assert [shop.post() for _ in range(2)] == [(418, "no", False), (418, "no", True)]


def test_a_streamed_reply_is_refused(shop: Shop, caplog) -> None:
    """Its body could not be recorded: 500, rolled back, and the log says which view and why."""

    def streams() -> Response:
        shop.sell("tea")
        return Response(part for part in ["a", "b"])

    shop.view(streams)
    assert shop.post().status == 500
    assert "streams" in caplog.text
    assert "streamed" in caplog.text
    assert shop.sold() == []


def test_an_async_view_works_as_in_flask(shop: Shop) -> None:
    """Its transaction is `once.tx` as well."""

    async def view() -> dict[str, int]:
        shop.sell("tea")
        return {"ok": 1}

    shop.view(view)
    assert [shop.post() for _ in range(2)] == [(200, {"ok": 1}, False), (200, {"ok": 1}, True)]
    assert shop.sold() == ["tea"]


def test_a_key_is_free_when_its_time_is_over(shop: Shop) -> None:
    """`ttl_s` of the view; nothing before."""
    shop.view(lambda: (shop.sell("tea"), {"ok": 1})[1], ttl_s=1.5)
    began_s = time.monotonic()
    assert not shop.post().replayed
    while time.monotonic() - began_s < 1.0:
        assert shop.post().replayed or time.monotonic() - began_s > 1.4
        time.sleep(0.2)
    time.sleep(max(0.0, 1.6 - (time.monotonic() - began_s)))
    assert shop.post("k", query_string="other=1") == (200, {"ok": 1}, False)
    assert shop.sold() == ["tea", "tea"]


def test_one_retry_safe_view_cannot_run_within_another(shop: Shop, caplog) -> None:
    """There would be two transactions, or one record for two requests."""
    inner = shop.once.idempotent()(lambda: {"ok": 1})
    shop.view(lambda: (shop.sell("tea"), inner())[1])
    assert shop.post().status == 500
    assert "within another" in caplog.text
    assert shop.sold() == []


def test_the_policy_page_says_what_is_in_force_and_every_refusal_leads_to_it(new_shop: Callable[..., Shop]) -> None:
    """Generated from the settings: views, keys, how long; `type` and Link name it."""
    shop = new_shop(key_ttl_s=60, on_duplicate="refuse", path="/api/rpc")
    shop.view(lambda: {"ok": 1}, required=True, ttl_s=5, replay_headers=["X-Kept"])
    page = shop.app.test_client().get("/api/rpc/policy").text
    for part in ("POST /buy", "required", "5.0 s", "X-Kept", "60 s", "409 at once"):
        assert part in page
    refusal = shop.response(None)
    kind = refusal.get_json(force=True)["type"]
    assert kind == "/api/rpc/policy#key-missing"
    assert f'id="{kind.partition("#")[2]}"' in page
    assert "/api/rpc/policy" in refusal.headers["Link"]
    assert "/api/rpc/policy" in shop.app.test_client().get("/api/rpc").headers["Link"]


def test_metrics_have_the_servers_names(tea: Shop) -> None:
    """Attempts, effects, replays and refusals, by the view's name; an application's own page is left alone."""
    tea.app.add_url_rule("/healthz", "mine", lambda: "mine")
    for key in ("k", "k", "k"):
        tea.post(key)
    tea.post("k", query_string="x")
    page = tea.app.test_client().get("/metrics").text
    for line in (
        'oncekv_attempts_total{method="POST /buy"} 4.0',
        'oncekv_effects_total{method="POST /buy"} 1.0',
        'oncekv_replays_total{method="POST /buy"} 2.0',
        'oncekv_refusals_total{name="identity_reused"} 1.0',
    ):
        assert line in page
    assert tea.app.test_client().get("/healthz").text == "mine"
    assert tea.app.test_client().get("/readyz").status_code == 200
