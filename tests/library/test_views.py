"""Ordinary views under an Idempotency-Key: keys, what they are bound to, what is recorded, what a replay has."""

from __future__ import annotations

import io
import json
import time

import pytest
from flask import (
    Blueprint,
    Flask,
    Response,
    abort,
    g,
    jsonify,
    make_response,
    redirect,
    request,
    session,
    stream_with_context,
)
from flask.views import MethodView
from sqlalchemy import text
from sqlalchemy.orm import Session

from oncerpc.flask import OnceRPC
from tests.library.conftest import on_sqlite
from tests.library.test_transaction import Note
from tests.support.calling import Rpc
from tests.support.places import Place, write


class Shop:
    """An application with one view whose body a test gives, and how often it ran."""

    def __init__(self, place: Place, **options):
        self.place = place
        self.app = Flask("shop")
        self.app.secret_key = "s"
        self.once = OnceRPC(self.app, place.engine(), **options)
        self.runs = 0

    def view(self, body, path="/orders", methods=("POST", "PUT", "PATCH", "DELETE", "GET"), **policy):
        """Route to a view that counts its runs."""

        def run(**values):
            self.runs += 1
            return body(**values)

        self.app.add_url_rule(path, f"view{path}", self.once.idempotent(**policy)(run), methods=list(methods))
        return self

    def send(self, key="k", path="/orders", verb="POST", **options):
        """One request, by a client without cookies."""
        headers = dict(options.pop("headers", {}))
        if key is not None:
            headers["Idempotency-Key"] = key
        return self.app.test_client().open(path, method=verb, headers=headers, **options)

    def write(self, word="a"):
        """Its effect, and an empty reply."""
        return write(self.once.tx, word)


@pytest.fixture
def shop(place):
    """A shop whose view writes and answers 201."""
    shop = Shop(place)

    def order():
        shop.write(request.get_data(as_text=True) or "a")
        return {"order": shop.runs}, 201, {"Location": f"/orders/{shop.runs}"}

    return shop.view(order)


def replayed(reply):
    """Whether it is marked as a replay."""
    return reply.headers.get("Idempotent-Replayed") == "true"


def is_problem(reply, status, name):
    """Whether it is this refusal of the library, complete."""
    assert reply.status_code == status, reply.data
    assert reply.mimetype == "application/problem+json"
    body = json.loads(reply.data)
    assert set(body) >= {"type", "title", "status", "detail"}
    assert body["status"] == status
    assert body["type"].endswith(f"#{name}")
    return body


def test_a_view_runs_once(shop, place):
    """The second request gets the first one's status, body, Content-Type and Location, marked, and does nothing."""
    first, *others = [shop.send() for _ in range(3)]
    assert (first.status_code, first.json, first.headers["Location"]) == (201, {"order": 1}, "/orders/1")
    assert not replayed(first)
    for other in others:
        assert replayed(other)
        assert (other.status_code, other.data) == (first.status_code, first.data)
        for name in ("Content-Type", "Location", "Content-Length"):
            assert other.headers[name] == first.headers[name]
    assert place.notes == ["a"]


@pytest.mark.parametrize("verb", ["POST", "PUT", "PATCH", "DELETE"])
@on_sqlite
def test_each_verb_that_writes(shop, place, verb):
    """The key is taken on all four."""
    assert [replayed(shop.send(verb=verb)) for _ in range(2)] == [False, True]
    assert place.notes == ["a"]


@on_sqlite
def test_a_get_passes_through(place):
    """A key on GET counts for nothing, none is asked for, and there is no transaction."""
    shop = Shop(place)

    def view():
        return {"tx": str(shop.once.tx)} if "tx" in request.args else {"runs": shop.runs}

    shop.view(view, required=True)
    assert [shop.send(verb="GET").json for _ in range(2)] == [{"runs": 1}, {"runs": 2}]
    assert shop.send(None, verb="GET").status_code == 200
    assert shop.send(verb="HEAD").status_code == 200
    shop.app.testing = True
    with pytest.raises(RuntimeError, match=r"once\.tx is the transaction"):
        shop.send(verb="GET", path="/orders?tx=1")


def test_without_a_key_each_request_runs(shop, place):
    """In a transaction all the same."""
    assert [shop.send(None).json["order"] for _ in range(2)] == [1, 2]
    assert place.notes == ["a", "a"]
    assert place.run("SELECT count(*) FROM once_key") == [(0,)]


@on_sqlite
def test_a_key_that_is_required(place):
    """Without one it is 400, and the view does not run."""
    shop = Shop(place).view(dict, required=True)
    is_problem(shop.send(None), 400, "key-missing")
    assert shop.runs == 0


LONGEST = "k" * 255


@pytest.mark.parametrize(("one", "other"), [
    ("abc", '"abc"'), ('"a\\"b\\\\c"', '"a\\"b\\\\c"'), ('a"b\\c', '"a\\"b\\\\c"'), (LONGEST, f'"{LONGEST}"'),
    ("!~", '"!~"'), ("a;b=c", '"a;b=c"'),
])  # fmt: skip
@on_sqlite
def test_two_spellings_of_one_key(shop, one, other):
    """Bare and quoted are one key, and in quotes a backslash stands before a quote and a backslash."""
    assert [replayed(shop.send(key)) for key in (one, other)] == [False, True]


@pytest.mark.parametrize("key", [
    "", '""', "a b", '"a b"', "a,b", '"a,b"', "a, b", "k" * 256, f'"{LONGEST}k"', '"', '"a', '"a\\"', '"a\\b"', '"a"b"',
    "k\xe9", "k\x7f", "k\tk", '"a";p=1', "a,a",
])  # fmt: skip
@pytest.mark.parametrize("required", [False, True])
@on_sqlite
def test_a_malformed_key(place, key, required):
    """Empty, over-long, spaced, with a comma, not ASCII, badly quoted: 400, and the view does not run."""
    shop = Shop(place).view(dict, required=required)
    is_problem(shop.send(key), 400, "key-malformed")
    assert shop.runs == 0


@on_sqlite
def test_a_key_that_comes_twice(shop):
    """Two headers are refused, even of one value, since servers join them by a comma."""
    headers = [("Idempotency-Key", "k"), ("Idempotency-Key", "k")]
    is_problem(shop.app.test_client().post("/orders", headers=headers), 400, "key-malformed")


@pytest.mark.parametrize(("one", "other"), [
    ({}, {"verb": "PUT"}),
    ({}, {"path": "/other"}),
    ({}, {"path": "/orders?a=1"}),
    ({"path": "/orders?a=1"}, {"path": "/orders?a=2"}),
    ({"data": b"a"}, {"data": b"b"}),
    ({"json": {"a": 1}}, {"json": {"a": 2}}),
    ({"json": {"a": 1}}, {"json": {"a": "1"}}),
    ({"json": {"a": 1}}, {"json": {"a": True}}),
    ({"json": {"a": None}}, {"json": {}}),
    ({"json": [1, 2]}, {"json": [2, 1]}),
    ({"json": {"a": 9007199254740993}}, {"json": {"a": 9007199254740992}}),
    ({"data": {"a": "1"}}, {"data": {"a": "2"}}),
    ({"data": b'{"a": 1}'}, {"data": b'{"a":1}'}),
])  # fmt: skip
def test_the_same_key_on_another_request(shop, place, one, other):
    """Another method, path, query or body under the same key is 422, and nothing runs."""
    shop.view(dict, path="/other")
    assert shop.send(**one).status_code == 201
    is_problem(shop.send(**other), 422, "key-reused")
    assert replayed(shop.send(**one))
    assert shop.runs == 1


AS_JSON = {"content_type": "application/json"}


@pytest.mark.parametrize(("one", "other"), [
    (b'{"a": 1, "b": 2}', b'{"b":2,\n"a":1}'),
    (b'{"a": 1}', b'{"a": 1.0}'),
    (b'{"a": 100}', b'{"a": 1e2}'),
    (b'{"a": 0.10}', b'{"a": 1e-1}'),
    (b'{"a": "\\u00e9/"}', '{"a": "é\\/"}'.encode()),
    (b'{"a": {"c": [1, {}], "b": null}}', b'{"a": {"b": null, "c": [1.0, {}]}}'),
    (b"{not json", b"{not json"),
    (b"", b""),
])  # fmt: skip
@on_sqlite
def test_json_bodies_are_compared_as_values(shop, one, other):
    """White space, the order of members and the way that a number is written make no other request."""
    assert [replayed(shop.send(data=body, **AS_JSON)) for body in (one, other)] == [False, True]


@on_sqlite
def test_json_of_another_media_type(shop):
    """`application/…+json` is JSON too."""
    kind = {"content_type": "application/merge-patch+json; charset=utf-8"}
    assert [replayed(shop.send(data=body, **kind)) for body in (b'{"a":1}', b'{"a": 1}')] == [False, True]


@on_sqlite
def test_a_form_that_was_read_before(place):
    """Where a hook has parsed the form before the view, fields and files are compared, and the view still has them."""
    shop = Shop(place)
    shop.app.before_request(lambda: setattr(g, "word", request.form.get("word")))
    shop.view(lambda: {"word": request.form["word"], "file": request.files["f"].read().decode()})

    def send(word="w", content=b"x", name="n.txt"):
        return shop.send(data={"word": word, "f": (io.BytesIO(content), name)}, content_type="multipart/form-data")

    first, second = send(), send()
    assert first.json == second.json == {"word": "w", "file": "x"}
    assert replayed(second)
    for other in (send(word="v"), send(content=b"y"), send(name="m.txt")):
        is_problem(other, 422, "key-reused")


@on_sqlite
def test_a_form_is_still_there_for_the_view(place):
    """The fingerprint takes the body's bytes, and the view can parse it afterwards."""
    shop = Shop(place)
    shop.view(lambda: {"word": request.form["word"]})
    assert [shop.send(data={"word": "w"}).json for _ in range(2)] == [{"word": "w"}] * 2


def test_keys_of_two_callers_never_meet(shop, place):
    """Whose key it is, is known by the Authorization header, which is not kept in clear."""
    for who in ("Bearer a", "Bearer b", None):
        headers = {"Authorization": who} if who else {}
        assert [replayed(shop.send(headers=headers)) for _ in range(2)] == [False, True]
    assert place.notes == ["a"] * 3
    assert not any("Bearer" in scope for (scope,) in place.run("SELECT scope FROM once_key"))


def test_a_scope_of_ones_own(place):
    """`scope` says whose keys a request's are; another customer with the same key and body has a call of its own."""
    shop = Shop(place, scope=lambda request: request.headers["X-Customer"])
    shop.view(lambda: (shop.write(request.headers["X-Customer"]), {})[1])
    for who in ("alice", "bob", "Élise"):
        assert [replayed(shop.send(headers={"X-Customer": who})) for _ in range(2)] == [False, True]
    assert place.notes[:2] == ["alice", "bob"]
    assert len(place.run("SELECT scope FROM once_key")) == 3


@on_sqlite
def test_a_scope_that_refuses(place):
    """It may abort, as a view may."""
    shop = Shop(place, scope=lambda request: abort(401)).view(dict)
    assert shop.send().status_code == 401
    assert shop.runs == 0


@pytest.mark.parametrize(("status", "effect", "recorded"), [
    (200, True, True), (204, True, True), (302, True, True), (399, True, True),
    (400, False, True), (404, False, True), (409, False, True), (499, False, True),
    (500, False, False), (503, False, False), (599, False, False),
])  # fmt: skip
def test_what_the_status_decides(place, status, effect, recorded):
    """Below 400 all is kept, from 400 on what was written is rolled back, and from 500 on nothing is recorded."""
    shop = Shop(place)

    def view():
        shop.write()
        return Response("said", status)

    shop.view(view)
    replies = [shop.send() for _ in range(2)]
    assert [reply.status_code for reply in replies] == [status, status]
    assert [replayed(reply) for reply in replies] == [False, recorded]
    assert place.notes == (["a"] if effect else [])
    assert shop.runs == (1 if recorded else 2)


def test_abort_is_a_reply_like_any_other(place):
    """`abort(404)`, with a body of one's own too, is recorded, and what was written is rolled back."""
    shop = Shop(place)

    def view(how):
        shop.write()
        abort(Response("mine", 409, {"ETag": '"e"'}) if how == "response" else 404)

    shop.view(view, path="/orders/<how>")
    for how, status in (("code", 404), ("response", 409)):
        first, second = (shop.send(how, path=f"/orders/{how}") for _ in range(2))
        assert (first.status_code, second.status_code, replayed(second)) == (status, status, True)
        assert first.data == second.data
    assert place.notes == []
    assert shop.runs == 2


def test_an_exception_is_not_recorded(place):
    """It is Flask's 500, rolled back, and the next attempt runs."""
    shop = Shop(place)

    def view():
        shop.write()
        if shop.runs < 3:
            raise OSError("on fire")
        return {}

    shop.view(view)
    assert [shop.send().status_code for _ in range(4)] == [500, 500, 200, 200]
    assert place.notes == ["a"]
    assert shop.runs == 3


class OutOfStock(Exception):
    """An error of the application's own."""


@pytest.mark.parametrize(("status", "effect", "runs"), [(200, True, 1), (409, False, 1), (503, False, 2)])
@pytest.mark.parametrize("caught", ["the class", "Exception", "500", "HTTPException's code"])
def test_an_error_handlers_reply(place, status, effect, runs, caught):
    """An exception that an errorhandler turns into a reply below 500 is that reply, also where it is that of 500."""
    shop = Shop(place)
    which = {"the class": OutOfStock, "Exception": Exception, "500": 500, "HTTPException's code": 404}[caught]
    assert isinstance(which, type | int)
    shop.app.register_error_handler(which, lambda error: ("handled", status))

    def view():
        shop.write()
        if caught == "HTTPException's code":
            abort(404)
        raise OutOfStock

    shop.view(view)
    replies = [shop.send() for _ in range(2)]
    assert [reply.status_code for reply in replies] == [status, status]
    assert [reply.data for reply in replies] == [b"handled"] * 2
    assert place.notes == (["a"] if effect else [])
    assert shop.runs == runs
    assert replayed(replies[1]) is (runs == 1)


def test_a_session_that_only_flushes(place):
    """No reply below 400 leaves without what the ORM has flushed, whether the session is closed or not."""
    shop = Shop(place)
    kept = []

    def view(how):
        orm = Session(shop.once.tx)
        orm.add(Note(text=how))
        orm.flush()
        if how == "closed":
            orm.close()
        kept.append(orm)
        return {}

    shop.view(view, path="/orders/<how>")
    for how in ("open", "closed"):
        assert shop.send(how, path=f"/orders/{how}").status_code == 200
    assert place.notes == ["open", "closed"]


@on_sqlite
def test_what_a_replay_has(place):
    """Content-Type, Location, ETag, Content-Encoding and the named headers; never a cookie, even where it is named."""
    shop = Shop(place)

    def view():
        reply = make_response(b"\x1f\x8bbytes", 201)
        reply.headers.update(
            {"ETag": '"e"', "Location": "/o/1", "X-Rate": "5", "X-Else": "6", "Content-Encoding": "gzip"}
        )
        reply.headers.add("Link", "<a>")
        reply.headers.add("Link", "<b>")
        reply.content_type = "application/x-order"
        reply.set_cookie("c", "secret")
        session["user"] = "u"
        return reply

    shop.view(view, replay_headers=("x-rate", "Link", "Set-Cookie"))
    first, second = shop.send(), shop.send()
    assert len(first.headers.getlist("Set-Cookie")) == 2
    assert "Set-Cookie" not in second.headers
    assert second.data == first.data
    for name in ("ETag", "Location", "Content-Type", "X-Rate", "Content-Encoding"):
        assert second.headers[name] == first.headers[name]
    assert second.headers.getlist("Link") == ["<a>", "<b>"]
    assert "X-Else" not in second.headers
    assert b"secret" not in bytes(place.run("SELECT reply FROM once_key")[0][0])


@pytest.mark.parametrize("how", ["generator", "stream_with_context", "send_file"])
def test_a_streamed_reply_is_refused(place, how, caplog, tmp_path):
    """It cannot be recorded: 500, what was written is rolled back, and the log says why."""
    from flask import send_file

    shop = Shop(place)
    (tmp_path / "f").write_text("x")

    def view():
        shop.write()
        if how == "send_file":
            return send_file(tmp_path / "f")
        words = (word for word in ("a", "b"))
        return Response(words if how == "generator" else stream_with_context(words))

    shop.view(view)
    for _ in range(2):
        is_problem(shop.send(), 500, "failed")
    assert place.notes == []
    assert "streamed" in caplog.text
    assert shop.runs == 2


@on_sqlite
def test_replies_of_every_kind(place):
    """A list, jsonify, a redirect, an empty body: each is replayed as it was."""
    kinds = {"list": lambda: [1, 2], "jsonify": lambda: jsonify(a=1), "redirect": lambda: redirect("/x"),
             "empty": lambda: ("", 204), "bytes": lambda: b"\x00\xff", "text": lambda: "é"}  # fmt: skip
    shop = Shop(place)
    shop.view(lambda kind: kinds[kind](), path="/orders/<kind>")
    for kind in kinds:
        first, second = (shop.send(kind, path=f"/orders/{kind}") for _ in range(2))
        assert (first.status, first.data, first.mimetype) == (second.status, second.data, second.mimetype)
        assert replayed(second)


def test_a_key_is_free_after_its_ttl(place):
    """`ttl_s` of the view, else `key_ttl_s`; then the next request runs, another one too."""
    shop = Shop(place, key_ttl_s=1.5)
    shop.view(lambda: (shop.write(), {})[1]).view(dict, path="/long", ttl_s=60)
    shop.send("long", path="/long")
    assert [replayed(shop.send(data=b"x")) for _ in range(2)] == [False, True]
    time.sleep(1.6)
    assert [replayed(shop.send(data=b"y")) for _ in range(2)] == [False, True]
    assert replayed(shop.send("long", path="/long"))
    assert place.notes == ["a", "a"]


@on_sqlite
def test_hooks_see_every_attempt(place):
    """before_request and after_request run for a replay as for the first, and may change it."""
    shop = Shop(place).view(dict)
    seen = []
    shop.app.before_request(lambda: seen.append("before"))

    @shop.app.after_request
    def after(reply):
        reply.headers["X-Seen"] = str(len(seen))
        return reply

    assert [shop.send().headers["X-Seen"] for _ in range(2)] == ["1", "2"]


@on_sqlite
def test_async_views(place):
    """`async def` works as it does in Flask, `once.tx` included."""
    shop = Shop(place)

    async def view():
        shop.runs += 1
        shop.write()
        return {"run": shop.runs}, 201

    shop.app.add_url_rule("/orders", "v", shop.once.idempotent()(view), methods=["POST"])
    first, second = shop.send(), shop.send()
    assert (first.status_code, second.data, replayed(second)) == (201, first.data, True)
    assert place.notes == ["a"]


@on_sqlite
def test_blueprints_and_method_views(place):
    """Below a blueprint's route and on a class of views it is the same, the blueprint's own error handlers included."""
    shop = Shop(place)
    blueprint = Blueprint("orders", "orders", url_prefix="/v1")
    blueprint.register_error_handler(OutOfStock, lambda error: ("sold out", 409))

    @blueprint.post("/orders")
    @shop.once.idempotent()
    def order():
        shop.runs += 1
        shop.write()
        raise OutOfStock

    class Refunds(MethodView):
        decorators = [shop.once.idempotent(required=True)]  # noqa: RUF012 as Flask declares it

        def post(self, number):
            shop.write(str(number))
            return {"number": number}, 201

    blueprint.add_url_rule("/refunds/<int:number>", view_func=Refunds.as_view("refunds"))
    shop.app.register_blueprint(blueprint)
    replies = [shop.send(path="/v1/orders") for _ in range(2)]
    assert [(reply.status_code, reply.data, replayed(reply)) for reply in replies] == [
        (409, b"sold out", False), (409, b"sold out", True),
    ]  # fmt: skip
    assert [replayed(shop.send("r", path="/v1/refunds/7")) for _ in range(2)] == [False, True]
    is_problem(shop.send("r", path="/v1/refunds/8"), 422, "key-reused")
    is_problem(shop.send(None, path="/v1/refunds/8"), 400, "key-missing")
    assert (shop.runs, place.notes) == (1, ["7"])
    assert "POST /v1/refunds/" in shop.app.test_client().get("/rpc/policy").get_data(as_text=True)


def test_one_extension_for_two_applications(place, tmp_path):
    """As an application factory has it: each application has its own database, records and transactions."""
    once = OnceRPC()

    @once.idempotent()
    def order():
        return write(once.tx, "a")

    other = Place(f"sqlite:///{tmp_path}/second.db")
    other.make_note()
    apps = []
    for where in (place, other):
        app = Flask("shop")
        once.init_app(app, where.engine())
        app.add_url_rule("/orders", "order", order, methods=["POST"])
        apps.append(app)
    once.method("note.write")(lambda tx: write(tx, "rpc"))
    for app in apps:
        replies = [app.test_client().post("/orders", headers={"Idempotency-Key": "k"}) for _ in range(2)]
        assert [replayed(reply) for reply in replies] == [False, True]
        assert [Rpc(app).keyed("r", "note.write").replayed for _ in range(2)] == [False, True]
    assert place.notes == other.notes == ["a", "rpc"]
    other.close()


@on_sqlite
def test_tx_elsewhere_raises(place):
    """Outside of a retry-safe view `once.tx` is a clear error: in another view, after the view, without a request."""
    shop = Shop(place)
    shop.app.testing = True
    shop.view(dict)
    shop.app.add_url_rule("/plain", "plain", lambda: str(shop.once.tx), methods=["POST"])
    with pytest.raises(RuntimeError, match=r"once\.tx"):
        _ = shop.once.tx
    shop.send()
    with pytest.raises(RuntimeError, match=r"once\.tx"):
        shop.send(path="/plain")


@on_sqlite
def test_one_view_within_another(place):
    """A retry-safe view that calls another one's function is told so, and nothing stays."""
    shop = Shop(place)
    inner = shop.once.idempotent()(dict)

    def outer():
        shop.write()
        return inner()

    shop.view(outer)
    shop.app.testing = True
    with pytest.raises(RuntimeError, match="within another"):
        shop.send()
    assert place.notes == []


def test_a_view_that_calls_another_application(place):
    """Two applications in one process, one asking the other: each has its own transaction."""
    inner = Shop(place, table_prefix="inner_")
    foreign: list[str] = []

    def asked():
        try:
            outer.once.tx.execute(text("SELECT 1"))
        except RuntimeError:
            foreign.append("refused")
        return {"inner": "a"}

    inner.view(asked)
    outer: Shop
    if place.kind == "postgresql":
        outer = Shop(place, table_prefix="outer_")
    else:  # SQLite has one writer, so the other application needs a database of its own
        other = Place(place.url.replace("shop.db", "other.db"))
        other.make_note()
        outer = Shop(other)

    def asks():
        outer.write("o")
        return inner.send("i").json

    outer.view(asks)
    assert [outer.send().json for _ in range(2)] == [{"inner": "a"}] * 2
    assert (outer.runs, inner.runs) == (1, 1)
    assert foreign == ["refused"]
    outer.place.close()


def test_the_transaction_is_the_views_own(place):
    """What the view writes is seen in it and by nobody else until the reply goes."""
    shop = Shop(place)

    def view():
        shop.write()
        return {"within": shop.once.tx.execute(text("SELECT count(*) FROM note")).scalar(), "without": len(place.notes)}

    shop.view(view)
    assert shop.send().json == {"within": 1, "without": 0}
    assert place.notes == ["a"]


@on_sqlite
def test_a_body_that_is_too_large(place):
    """Flask's own bound holds, before the key is looked for."""
    shop = Shop(place).view(dict)
    shop.app.config["MAX_CONTENT_LENGTH"] = 10
    assert shop.send(data=b"x" * 11).status_code == 413
    assert shop.runs == 0


def test_bodies_of_any_bytes(place):
    """Replies and keys survive as they are: NUL, 8-bit bytes, a megabyte."""
    shop = Shop(place)
    body = bytes(range(256)) * 4096
    shop.view(lambda: Response(body, mimetype="application/octet-stream"))
    assert [shop.send(data=b"\x00\xff").data for _ in range(2)] == [body, body]
    assert shop.runs == 1


@pytest.mark.parametrize("value", [0, -1])
def test_a_ttl_that_is_none(place, value):
    """It is refused where it stands."""
    shop = Shop(place)
    with pytest.raises(ValueError, match="ttl_s"):
        shop.once.idempotent(ttl_s=value)
