"""PostgreSQL goes away, or its connection is cut in the worst moments: told ok is only what happened, once."""

from __future__ import annotations

import threading
import time

import pytest
from sqlalchemy import create_engine, text

from oncerpc import RpcError
from oncerpc.server.sql import bounded_retry
from tests.library.conftest import open_place
from tests.library.test_views import Shop, is_problem, replayed
from tests.support.calling import Rpc
from tests.support.cut_link import CutLink
from tests.support.places import Place, write
from tests.support.postgres import Postgres
from tests.support.replies import expect
from tests.support.waiting import in_background, until

COMMIT = b"COMMIT\0"
SLOW_COMMIT = """
CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.7); RETURN NULL; END';
CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON note DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION linger()
"""


@pytest.fixture
def place(request, tmp_path):
    """PostgreSQL alone."""
    yield from open_place(request, "postgresql", tmp_path)


@pytest.fixture
def link(place):
    """A link before the database."""
    with CutLink(place.postgres.port) as found:
        yield found


def serve(place, port=None, **options):
    """A shop at the end of a link, with a method and a view; `says` is what they do besides writing."""
    database = place.url.rpartition("/")[2]
    url = place.postgres.url(database, port=port)
    engine = create_engine(url, connect_args={"connect_timeout": 3}, **options)
    place.engines.append(engine)
    shop = Shop.__new__(Shop)
    shop.place, shop.runs = place, 0
    shop.app, shop.once = place.app(engine, wait_max_s=10)

    @shop.once.method("note.write")
    def note(tx, word: str) -> dict:
        shop.runs += 1
        write(tx, word)
        if word == "no":
            raise RpcError(2001, "no", "no")
        return {"run": shop.runs}

    @shop.once.method("note.count", reads=True)
    def count(tx) -> int:
        return int(tx.execute(text("SELECT count(*) FROM note")).scalar_one())

    shop.view(lambda: (shop.write(), {"run": shop.runs})[1])
    return shop


def identities(shop):
    """A call by session, by key, and a request to a view; each gives whether it is marked, and whether all is well."""
    rpc = Rpc(shop.app)
    session = rpc.open()

    def outcome(answer):
        return answer.replayed if answer.error is None else answer.error["data"]["name"]

    def view():
        reply = shop.send("v")
        return (
            replayed(reply) if reply.status_code == 200 else (reply.json or {}).get("type", "#failed").partition("#")[2]
        )

    return {
        "session": lambda: outcome(session.do(1, "note.write", word="a")),
        "key": lambda: outcome(rpc.keyed("k", "note.write", word="a")),
        "view": view,
    }


@pytest.mark.parametrize("kind", ["session", "key", "view"])
@pytest.mark.parametrize("lets_through", [False, True], ids=["before COMMIT", "after COMMIT"])
def test_the_link_is_cut_at_the_commit(place, link, kind, lets_through):
    """The outcome is looked for before anybody is told: one effect, the reply unmarked, and a retry is a replay."""
    shop = serve(place, link.port)
    send = identities(shop)[kind]
    link.cut_at(COMMIT, lets_through=lets_through)
    assert send() is False
    assert link.cuts == 1
    assert place.notes == ["a"]
    assert shop.runs == (1 if lets_through else 2)
    assert send() is True


@pytest.mark.parametrize("kind", ["session", "key", "view"])
def test_the_link_is_cut_while_it_commits(place, link, kind):
    """The backend still commits when the outcome is looked for: that waits for it, and does not run it again."""
    place.run(SLOW_COMMIT)
    shop = serve(place, link.port)
    send = identities(shop)[kind]
    link.cut_at(COMMIT, lets_through=True)
    assert send() is False
    assert place.notes == ["a"]
    assert shop.runs == 1
    assert send() is True


@pytest.mark.parametrize("kind", ["session", "key", "view"])
def test_the_backend_is_ended_while_it_commits(place, kind):
    """pg_terminate_backend in the middle of COMMIT undoes it: it is run again, and there is one effect."""
    place.run(SLOW_COMMIT)
    shop = serve(place)
    send = identities(shop)[kind]
    told = in_background(send)
    ended = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE query LIKE '%COMMIT' AND state = 'active' AND datname = current_database()"
    )
    until(lambda: place.run(ended), what="a backend that commits")
    assert told.result(60) is False
    assert place.notes == ["a"]
    assert shop.runs == 2
    assert send() is True


@pytest.mark.parametrize("kind", ["session", "key", "view"])
def test_the_commit_is_cut_again_and_again(place, link, kind):
    """Three times in a row, either way: still one effect."""
    shop = serve(place, link.port)
    send = identities(shop)[kind]
    link.cut_at(COMMIT, lets_through=False, count=3)
    assert send() is False
    assert place.notes == ["a"]
    assert send() is True


@pytest.mark.parametrize("kind", ["session", "key", "view"])
def test_the_database_goes_while_it_commits_and_stays_away(place, link, kind, monkeypatch):
    """Nobody can tell: internal_error, or 500 that says so, and never ok. When it is back a retry is answered."""
    monkeypatch.setattr(bounded_retry, "LOOKUPS_MAX", 2)
    shop = serve(place, link.port)
    send = identities(shop)[kind]
    link.cut_at(COMMIT, lets_through=True, for_good=True)
    assert send() in ("internal_error", "outcome-unknown")
    link.is_down = False
    assert send() is True
    assert place.notes == ["a"]


def test_a_call_without_identity_whose_commit_is_cut(place, link):
    """Nothing can be looked for, so nobody is told ok: internal_error, and it is not run again by itself."""
    shop = serve(place, link.port)
    link.cut_at(COMMIT, lets_through=True)
    expect(Rpc(shop.app).call("note.write", word="a"), -32603)
    link.cut_at(COMMIT, lets_through=True)
    is_problem(shop.send(None), 500, "outcome-unknown")
    until(lambda: place.notes == ["a", "a"], what="both commits, which nobody waits for")


def test_an_error_whose_commit_is_cut(place, link):
    """A recorded no is looked for as well: the same error, unmarked, and a replay later."""
    shop = serve(place, link.port)
    for lets_through, key in ((True, "1"), (False, "2")):
        link.cut_at(COMMIT, lets_through=lets_through)
        first = Rpc(shop.app).keyed(key, "note.write", word="no")
        assert (first.code, first.replayed) == (2001, False)
        assert Rpc(shop.app).keyed(key, "note.write", word="no").replayed
    assert place.notes == []


@pytest.mark.parametrize("word", [b"INSERT INTO note", b"SAVEPOINT", b"once_key", b"INSERT INTO once_record"])
def test_the_link_is_cut_before_the_commit(place, link, word):
    """Nothing has happened yet: whoever is not told ok may ask again, and there is one effect."""
    shop = serve(place, link.port)
    for kind, send in identities(shop).items():
        place.run("DELETE FROM note")
        link.cut_at(word, lets_through=True)
        first = send()
        assert first is False or first in ("internal_error", "overloaded", "failed", "database-away", ""), (kind, first)
        link.cut_at(b"", lets_through=True, count=0)
        assert send() is (first is False)
        assert place.notes == ["a"]
        assert send() is True


def test_stale_connections_after_a_restart(tmp_path):
    """PostgreSQL is restarted: the pool's connections are stale, and no request, call or read notices."""
    with Postgres() as postgres:
        place = Place(postgres.url(postgres.create()), postgres)
        place.make_note()
        shop = serve(place, pool_size=3)
        rpc = Rpc(shop.app)
        session = rpc.open()
        asks = [
            lambda: shop.send("view").status_code == 200,
            lambda: rpc.keyed("key", "note.write", word="a").error is None,
            lambda: session.do(1, "note.write", word="a").error is None,
            lambda: rpc.call("note.count").error is None,
            lambda: rpc.call("note.count", _meta={"session": session.name}).error is None,
            lambda: rpc.call("session.renew", _meta={"session": session.name}).error is None,
            lambda: shop.app.test_client().get("/readyz").status_code == 200,
            lambda: rpc.call("note.write", word="a").error is None,
            lambda: shop.app.test_cli_runner().invoke(args=["once", "prune"]).exit_code == 0,
        ]
        for ask in asks:
            with shop.once.exclusive(shop.app):
                pass  # there is a connection in the pool
            postgres.stop()
            postgres.start()
            assert ask(), asks.index(ask)
        place.close()


def test_while_it_is_away(place, link):
    """Requests are refused and nothing ran, /healthz stays 200, and all goes on when it is back."""
    shop = serve(place, link.port, pool_timeout=1)
    rpc = Rpc(shop.app)
    session = rpc.open()
    link.is_down = True
    link.cut()
    is_problem(shop.send(), 503, "database-away")
    expect(session.do(1, "note.write", word="a"), 11, 503)
    expect(rpc.call("note.count"), 11, 503)
    expect(rpc.call("note.count", _meta={"session": session.name}), 11, 503)
    client = shop.app.test_client()
    assert [client.get(path).status_code for path in ("/healthz", "/readyz", "/metrics")] == [200, 503, 200]
    assert shop.app.test_cli_runner().invoke(args=["once", "prune"]).exit_code != 0
    link.is_down = False
    assert shop.send().status_code == 200
    assert not session.do(1, "note.write", word="a").replayed
    assert client.get("/readyz").status_code == 200
    assert place.notes == ["a", "a"]


def test_a_handler_that_swallows_a_lost_connection(place):
    """It goes on as if nothing were: the call is not told ok, nothing stays, and the retry runs."""
    app, once = place.app()
    runs = []

    @once.method("note.write")
    def note(tx) -> dict:
        runs.append(1)
        write(tx, "a")
        if len(runs) == 1:
            try:
                tx.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
            except Exception as error:
                tx.info_of_the_error = error
        return {}

    expect(Rpc(app).keyed("k", "note.write"), -32603)
    assert place.notes == []
    assert not Rpc(app).keyed("k", "note.write").replayed
    assert place.notes == ["a"]


def test_duplicates_while_the_first_loses_its_commit(place, link):
    """Others wait for the one whose commit is cut: all get one reply, and there is one effect."""
    shop = serve(place, link.port, pool_size=20)
    gate = threading.Barrier(4)
    link.cut_at(COMMIT, lets_through=True, count=2)
    answers = []

    def send():
        gate.wait(10)
        for _ in range(20):
            answer = Rpc(shop.app).keyed("k", "note.write", word="a")
            if answer.error is None:
                answers.append(answer.bare)
                return
            time.sleep(0.1)

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(answers) == 4
    assert all(answer == answers[0] for answer in answers)
    assert place.notes == ["a"]
