"""For operators: `flask once …`, the policy page, the metrics, and the switch that turns all of it off."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import create_engine

from oncerpc.flask import OnceRPC
from tests.library.conftest import on_postgresql, on_sqlite
from tests.library.test_views import Shop, replayed
from tests.support.caller import request
from tests.support.calling import Rpc
from tests.support.places import write


@pytest.fixture
def shop(place):
    """A shop with a view and a method, whose keys are a customer's own."""
    shop = Shop(place, scope=lambda request: request.headers.get("X-Customer", ""))

    def order():
        shop.write()
        return {"secret": "body"}, 201

    shop.once.method("note.write")(lambda tx: (write(tx, "rpc"), {"secret": "result"})[1])
    return shop.view(order).view(lambda: ("no", 404), path="/none")


def test_the_docs_page_has_the_methods_of_the_service(shop):
    """At /rpc/docs, with its files beside it; its calls go to /rpc, wherever the application is mounted."""
    page = shop.app.test_client().get("/rpc/docs")
    assert (page.status_code, page.headers["Content-Security-Policy"][:18]) == (200, "default-src 'none'")
    assert 'data-method="note.write"' in page.text
    assert 'data-rpc="../rpc"' in page.text
    assert [shop.app.test_client().get(f"/rpc/docs/{name}").status_code for name in ("page.js", "other")] == [200, 404]


def once_command(shop, *words, code=0):
    """What a command prints; it must end so."""
    result = shop.app.test_cli_runner().invoke(args=["once", *words])
    assert result.exit_code == code, result.output
    return result.output


def test_show(shop):
    """Status, when and until when; the body only when asked; every scope unless one is named."""
    shop.send("k", headers={"X-Customer": "alice"})
    shop.send("k", headers={"X-Customer": "bob"})
    said = once_command(shop, "show", "k")
    assert said.count("status: 201") == 2
    assert "alice" in said
    assert "bob" in said
    assert "body" not in said
    times = [datetime.fromisoformat(word) for word in re.findall(r"(?:recorded|expires): (\S+)", said)]
    assert abs(times[0] - datetime.now(UTC)) < timedelta(minutes=1)
    assert times[1] - times[0] == timedelta(days=1)
    one = once_command(shop, "show", "k", "--scope", "bob", "--body")
    assert "alice" not in one
    assert '"secret":"body"' in one.replace(" ", "")


def test_show_of_a_call_and_of_an_error(shop):
    """A call's record is told as a result, and a view's no by its status."""
    Rpc(shop.app).keyed("r", "note.write")
    shop.send("n", path="/none")
    assert "status: result" in once_command(shop, "show", "r")
    assert "secret" in once_command(shop, "show", "r", "--body")
    assert "status: 404" in once_command(shop, "show", "n")


def test_show_and_forget_of_what_is_not_there(shop):
    """One line, and exit code 1."""
    shop.send("k", headers={"X-Customer": "alice"})
    for words in (
        ["show", "other"],
        ["forget", "other"],
        ["show", "k", "--scope", "bob"],
        ["forget", "k", "--scope", "bob"],
    ):
        assert "no record" in once_command(shop, *words, code=1)
    assert replayed(shop.send("k", headers={"X-Customer": "alice"}))


def test_forget(shop, place):
    """The next request with the key runs; of one scope, or of every one."""
    customers = [{"X-Customer": who} for who in ("alice", "bob", "carol")]
    for headers in customers:
        shop.send("k", headers=headers)
    once_command(shop, "forget", "k", "--scope", "alice")
    assert [replayed(shop.send("k", headers=headers)) for headers in customers] == [False, True, True]
    once_command(shop, "forget", "k")
    assert [replayed(shop.send("k", headers=headers)) for headers in customers] == [False] * 3
    assert len(place.notes) == 7


def test_prune(place):
    """Only what has expired goes, however much of it there is, and it is counted."""
    shop = Shop(place, key_ttl_s=0.2).view(dict).view(dict, path="/long", ttl_s=60)
    rpc = Rpc(shop.app)
    short, long = rpc.open(lease_ms=100), rpc.open()
    shop.send("kept", path="/long")
    for number in range(5):
        shop.send(str(number))
    many = ", ".join(f"('s', 'x{number}', 'f', 'a', false, 'r', 1, 1)" for number in range(1203))
    cast = "::bytea" if place.kind == "postgresql" else ""
    many = many.replace("'f', 'a'", f"'f'{cast}, 'a'{cast}").replace("'r'", f"'r'{cast}")
    place.run(
        f"INSERT INTO once_key (scope, key, fingerprint, attempt, failed, reply, created_ms, expires_ms) VALUES {many}"
    )
    time.sleep(0.25)
    assert "pruned: 1209" in once_command(shop, "prune")
    assert "pruned: 0" in once_command(shop, "prune")
    assert place.run("SELECT key FROM once_key") == [("kept",)]
    assert place.run("SELECT name FROM once_session") == [(long.name,)]
    assert short.name != long.name


def test_init(shop, place):
    """It makes the tables, as every start does, and no more."""
    shop.send("k")
    said = once_command(shop, "init")
    assert "once_key" in said
    assert replayed(shop.send("k"))
    assert place.notes == ["a"]


APPLICATION = """
import os
from flask import Flask
from sqlalchemy import create_engine
from oncerpc.flask import OnceRPC
app = Flask("shop")
once = OnceRPC(app, engine=create_engine(os.environ["DATABASE"]))
"""


def flask(tmp_path, url, *words):
    """`flask once …` as a process of its own."""
    (tmp_path / "shop_app.py").write_text(APPLICATION)
    environment = {**os.environ, "DATABASE": url, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "flask", "--app", "shop_app", "once", *words]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path
    )


def test_init_as_a_process(place, tmp_path):
    """On an empty database it makes the four tables, and exits 0."""
    done = flask(tmp_path, place.url, "init")
    assert done.returncode == 0, done.stderr
    assert place.run("SELECT count(*) FROM once_meta") == [(1,)]


@on_sqlite
def test_a_command_that_cannot(place, tmp_path):
    """Wrong usage is exit 2, and a database that is away one line without a traceback."""
    assert flask(tmp_path, place.url, "show").returncode == 2
    done = flask(tmp_path, "postgresql+psycopg://u:secret@127.0.0.1:1/d", "init")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


@on_sqlite
def test_the_policy_page(place):
    """It says what holds here: the views and their keys, how long, whose keys, the refusals, which lead to it."""
    shop = Shop(place, key_ttl_s=120, on_duplicate="refuse")
    shop.view(dict, required=True).view(dict, path="/refunds", ttl_s=60, replay_headers=["X-Rate"])
    page = shop.app.test_client().get("/rpc/policy")
    assert (page.status_code, page.mimetype) == (200, "text/html")
    text = page.get_data(as_text=True)
    for word in ("POST /orders", "POST /refunds", "required", "120 s", "60.0 s", "X-Rate", "409 at once", "key-reused"):
        assert word in text, word
    refusal = shop.send(None)
    assert refusal.json["type"].partition("#")[0] == "/rpc/policy"
    assert f'id="{refusal.json["type"].partition("#")[2]}"' in text
    assert 'rel="help"' in refusal.headers["Link"]


def figures(app):
    """The counters of /metrics."""
    text = app.test_client().get("/metrics").get_data(as_text=True)
    return {name: float(value) for name, value in re.findall(r"^(oncekv_.+) (\S+)$", text, re.M)}


def test_metrics(shop):
    """Attempts, effects, replays and refusals are counted under the server's names, sessions in the database."""
    rpc = Rpc(shop.app)
    session = rpc.open()
    for _ in range(3):
        session.do(1, "note.write")
        shop.send("k")
    shop.send("k", data=b"other")
    found = figures(shop.app)
    assert found['oncekv_attempts_total{method="note.write"}'] == 3
    assert found['oncekv_effects_total{method="note.write"}'] == 1
    assert found['oncekv_replays_total{method="note.write"}'] == 2
    assert found['oncekv_attempts_total{method="POST /orders"}'] == 4
    assert found['oncekv_effects_total{method="POST /orders"}'] == 1
    assert found['oncekv_replays_total{method="POST /orders"}'] == 2
    assert found['oncekv_refusals_total{name="identity_reused"}'] == 1
    assert (found["oncekv_sessions"], found["oncekv_records"]) == (1, 1)


@on_sqlite
def test_the_applications_own_pages_come_first(place):
    """Where it has a /healthz or /metrics of its own, that is what is served."""
    app, _ = place.app()
    app.add_url_rule("/metrics", "mine", lambda: "mine")
    assert app.test_client().get("/metrics").data == b"mine"
    assert app.test_client().get("/healthz").status_code == 200
    assert app.test_client().post("/healthz").status_code == 404


def test_switched_off(place, monkeypatch, caplog):
    """With ONCERPC_DISABLED=1 every request runs, duplicates too, nothing is recorded, and it is said aloud."""
    monkeypatch.setenv("ONCERPC_DISABLED", "1")
    shop = Shop(place)

    def order():
        shop.write()
        return {}, 409 if "no" in request_args() else 201

    from flask import request as flask_request

    def request_args():
        return flask_request.args

    shop.view(order, required=True)
    shop.once.method("note.write")(lambda tx: (write(tx, "rpc"), {})[1])
    assert "EVERY REQUEST RUNS" in caplog.text
    assert [replayed(shop.send("k")) for _ in range(2)] == [False, False]
    assert shop.send("a,b").status_code == 201
    assert shop.send(None).status_code == 201
    assert shop.send("k", path="/orders?no=1").status_code == 409
    session = Rpc(shop.app).open()
    assert [session.do(1, "note.write").replayed for _ in range(2)] == [False, False]
    assert place.notes == ["a"] * 4 + ["rpc"] * 2
    assert place.run("SELECT (SELECT count(*) FROM once_key) + (SELECT count(*) FROM once_record)") == [(0,)]
    assert "Switched off" in shop.app.test_client().get("/rpc/policy").get_data(as_text=True)


@pytest.mark.parametrize("value", ["", "0"])
@on_sqlite
def test_not_switched_off(place, monkeypatch, value):
    """Empty and 0 mean no."""
    monkeypatch.setenv("ONCERPC_DISABLED", value)
    shop = Shop(place).view(dict)
    assert [replayed(shop.send()) for _ in range(2)] == [False, True]


def test_failpoints_are_there_only_when_asked_for(place, monkeypatch, tmp_path):
    """`debug.failpoint` needs ONCERPC_FAILPOINTS; then `error` before the commit undoes the call."""
    plain, _ = place.app()
    assert Rpc(plain).call("debug.failpoints").code == -32601
    monkeypatch.setenv("ONCERPC_FAILPOINTS", str(tmp_path / "failpoints"))
    app, once = place.app()
    once.method("note.write")(lambda tx, word: (write(tx, word), {})[1])
    rpc = Rpc(app)
    for point, notes in (("before_execute", []), ("after_execute", []), ("after_commit", ["w"])):
        rpc.call("debug.failpoint", name=point, action="error", match={"method": "note.write", "key": "w"})
        assert rpc.keyed("k", "note.write", word="w").code == -32603
        assert place.notes == notes
    assert rpc.keyed("k", "note.write", word="w").replayed
    assert rpc.call("debug.failpoints").ok["failpoints"] == {"before_execute": 1, "after_execute": 1, "after_commit": 1}
    app.extensions["oncerpc"].context.dispatch._facts.failpoints._file.close()


@on_postgresql
def test_the_plain_postgresql_url(place):
    """`postgresql://`, where it means psycopg, works as well."""
    url = place.url.replace("+psycopg", "")
    try:
        engine = create_engine(url)
    except ModuleNotFoundError:
        return  # SQLAlchemy before 2.1 takes it for psycopg2
    app = Flask("shop")
    OnceRPC(app, engine)
    answer = app.test_client().post("/rpc", json=request("session.open", id=1))
    assert answer.status_code == 200
    engine.dispose()


def test_the_client_as_users_have_it(place, tmp_path):
    """`from oncerpc import connect`, with every semantics, and the command `oncekv call`, at Flask's own server."""
    import oncerpc
    from tests.support.server import oncekv
    from tests.support.wsgi_server import WsgiServer

    with WsgiServer("flask", "tests.library.service", {"DATABASE": place.url}, tmp_path / "log") as server:
        for semantics in ("maybe", "at-least-once", "at-most-once", "exactly-once"):
            outbox = tmp_path / "outbox" if semantics == "exactly-once" else None
            with oncerpc.connect(server.url, semantics=semantics, outbox=outbox) as client:
                assert client.call("note.write", {"word": semantics})["word"] == semantics
        done = oncekv("call", "note.write", "word=told", "--server", server.url)
        assert done.returncode == 0, done.stderr
    notes = [word for word in place.notes if not word.endswith("ended")]
    assert notes == ["maybe", "at-least-once", "at-most-once", "exactly-once", "told"]
