"""Duplicates while the first still runs, other calls beside it, and what the database gives up for another's sake."""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import StaticPool

from oncerpc import RpcError
from tests.library.conftest import on_postgresql, on_sqlite
from tests.library.test_views import Shop, is_problem, replayed
from tests.support.calling import Rpc
from tests.support.places import Place, write
from tests.support.replies import expect
from tests.support.waiting import at_once, in_background, until


class Held:
    """A shop whose view and method wait at a gate; `begun` counts those that stand there."""

    def __init__(self, place, **options):
        self.shop = Shop(place, **options)
        self.gate = threading.Event()
        self.begun = 0
        self.statuses: list[int] = []
        self.rpc = Rpc(self.shop.app)

        def wait(tx):
            self.begun += 1
            write(tx, f"run {self.begun}")
            assert self.gate.wait(20)

        def view():
            wait(self.shop.once.tx)
            return {"run": self.begun}, (self.statuses.pop(0) if self.statuses else 201)

        @self.shop.once.method("note.wait")
        def method(tx) -> dict:
            wait(tx)
            return {"run": self.begun}

        self.shop.view(view).view(lambda: (self.shop.write("beside"), {})[1], path="/beside")

    def start(self, send):
        """Send it in the background, and come back when it stands at the gate."""
        before = self.begun
        future = in_background(send)
        until(lambda: self.begun > before, what="the handler")
        return future


def test_a_duplicate_waits_for_the_first(place):
    """Three that come while it runs get its reply, marked, and nothing ran twice."""
    held = Held(place)
    first = held.start(held.shop.send)
    others = [in_background(held.shop.send) for _ in range(3)]
    time.sleep(0.3)
    assert not any(one.done() for one in others)
    held.gate.set()
    assert not replayed(first.result(60))
    for other in others:
        assert replayed(other.result(60))
        assert other.result().data == first.result().data
    assert place.notes == ["run 1"]


@pytest.mark.parametrize("kind", ["session", "key"])
def test_a_duplicate_call_waits_for_the_first(place, kind):
    """The same at /rpc, where it waits with on_duplicate="refuse" too: 409 is not used there."""
    held = Held(place, on_duplicate="refuse")
    session = held.rpc.open()

    def send():
        return session.do(1, "note.wait") if kind == "session" else held.rpc.keyed("k", "note.wait")

    first = held.start(send)
    other = in_background(send)
    time.sleep(0.3)
    assert not other.done()
    held.gate.set()
    assert (first.result(60).replayed, other.result(60).replayed) == (False, True)
    assert place.notes == ["run 1"]


def test_a_duplicate_is_refused_at_once(place):
    """With on_duplicate="refuse" it is 409 with Retry-After, and after the first has ended it is a replay."""
    held = Held(place, on_duplicate="refuse")
    first = held.start(held.shop.send)
    began = time.monotonic()
    reply = held.shop.send()
    assert time.monotonic() - began < 30
    is_problem(reply, 409, "still-running")
    assert int(reply.headers["Retry-After"]) >= 1
    held.gate.set()
    first.result(60)
    assert replayed(held.shop.send())
    assert place.notes == ["run 1"]


def test_a_duplicate_waits_only_so_long(place):
    """After wait_max_s it is 409 with Retry-After, and at /rpc overloaded with 503."""
    held = Held(place, wait_max_s=0.3)
    first = held.start(held.shop.send)
    reply = held.shop.send()
    is_problem(reply, 409, "still-running")
    assert "Retry-After" in reply.headers
    held.gate.set()
    first.result(60)
    held.gate.clear()
    first = held.start(lambda: held.rpc.keyed("r", "note.wait"))
    answer = held.rpc.keyed("r", "note.wait")
    expect(answer, 11, 503)
    held.gate.set()
    first.result(60)
    assert held.rpc.keyed("r", "note.wait").replayed
    assert place.notes == ["run 1", "run 2"]


@pytest.mark.parametrize("status", [500, 409])
def test_what_the_first_ends_in(place, status):
    """If the first ends in 500 the next that waits runs; if in 409 the next gets that."""
    held = Held(place)
    held.statuses = [status]
    first = held.start(held.shop.send)
    others = [in_background(held.shop.send) for _ in range(2)]
    time.sleep(0.2)
    held.gate.set()
    assert first.result(60).status_code == status
    replies = [other.result(60) for other in others]
    if status == 409:
        assert [reply.status_code for reply in replies] == [409, 409]
        assert all(replayed(reply) for reply in replies)
        assert (held.begun, place.notes) == (1, [])
    else:
        assert [reply.status_code for reply in replies] == [201, 201]
        assert sorted(replayed(reply) for reply in replies) == [False, True]
        assert place.notes == ["run 2"]


@on_postgresql
def test_other_keys_run_side_by_side(place):
    """While one stands at the gate another key's request runs to its end."""
    held = Held(place)
    first = held.start(held.shop.send)
    assert held.shop.send("other", path="/beside").status_code == 200
    assert held.shop.send(None, path="/beside").status_code == 200
    assert not first.done()
    held.gate.set()
    first.result(60)


@on_postgresql
def test_calls_of_one_session_run_side_by_side(place):
    """Its calls may be outstanding together, and a close waits for them."""
    held = Held(place)
    session = held.rpc.open()
    first = held.start(lambda: session.do(1, "note.wait"))
    second = held.start(lambda: session.do(2, "note.wait"))
    held.gate.set()
    assert first.result(60).ok
    assert second.result(60).ok


@on_postgresql
def test_pruning_waits_for_nobody(place):
    """What a running transaction holds is left out, however long it runs."""
    held = Held(place, key_ttl_s=0.1)
    session = held.rpc.open(lease_ms=100)
    held.shop.send("old", path="/beside")
    time.sleep(0.2)
    first = held.start(lambda: held.shop.send("old"))  # the expired key gave way, and its row is locked
    second = held.start(lambda: held.rpc.open().do(1, "note.wait"))
    began = time.monotonic()
    pruned = held.shop.app.test_cli_runner().invoke(args=["once", "prune"])
    assert pruned.exit_code == 0, pruned.output
    assert time.monotonic() - began < 30
    held.gate.set()
    assert first.result(60).status_code == 201
    assert second.result(60).ok
    expect(session.do(1, "note.wait"), 1001)


@on_sqlite
def test_another_writer_is_waited_for(place):
    """A writer that is no duplicate holds the next up; after wait_max_s it is refused, and nothing ran."""
    held = Held(place, wait_max_s=0.3)
    first = held.start(held.shop.send)
    is_problem(held.shop.send("other", path="/beside"), 503, "busy")
    held.gate.set()
    first.result(60)
    assert held.shop.send("other", path="/beside").status_code == 200


LEVELS: dict[str, list[str | None]] = {"sqlite": [None], "postgresql": [None, "REPEATABLE READ", "SERIALIZABLE"]}


def engines(place) -> Any:
    """An engine for each isolation level that the database has."""
    return [place.engine(**({"isolation_level": level} if level else {}), pool_size=20) for level in LEVELS[place.kind]]


@pytest.mark.parametrize("kind", ["view", "key", "session"])
def test_many_at_the_same_moment(place, kind):
    """Twelve attempts at once: one effect, one unmarked reply, on every isolation level."""
    for number, engine in enumerate(engines(place)):
        app, once = place.app(engine)

        @once.method("note.write")
        def note(tx, word: str) -> dict:
            write(tx, word)
            return {"word": word}

        @app.post("/notes/<word>")
        @once.idempotent()
        def view(word, once=once):
            write(once.tx, word)
            return {"word": word}, 201

        rpc = Rpc(app)
        session = rpc.open()
        for turn in range(1, 4):
            word = f"{number}.{turn}"

            def send(word=word, turn=turn, app=app, rpc=rpc, session=session):
                if kind == "view":
                    reply = app.test_client().post(f"/notes/{word}", headers={"Idempotency-Key": word})
                    assert reply.status_code == 201, reply.data
                    return replayed(reply), reply.data
                answer = (
                    session.do(turn, "note.write", word=word) if kind == "session"
                    else rpc.keyed(word, "note.write", word=word)
                )  # fmt: skip
                assert answer.error is None, answer.error
                return answer.replayed, answer.bare

            answers = at_once([send] * 12)
            assert sorted(marked for marked, _ in answers) == [False] + [True] * 11
            assert all(body == answers[0][1] for _, body in answers)
            assert place.notes.count(word) == 1


@on_postgresql
@pytest.mark.parametrize("swallows", [False, True])
def test_a_deadlock_is_run_again(place, swallows):
    """Two calls that lock rows crosswise: the database gives one up, it runs again, and each has one effect."""
    app, once = place.app()
    place.run("CREATE TABLE stock (name VARCHAR(9) PRIMARY KEY, amount INTEGER)")
    place.run("INSERT INTO stock VALUES ('a', 0), ('b', 0)")
    both, runs = threading.Barrier(2), []

    @once.method("stock.move")
    def move(tx, first: str, second: str) -> dict:
        runs.append(first)
        add = text("UPDATE stock SET amount = amount + 1 WHERE name = :name")
        tx.execute(add, {"name": first})
        if len(runs) <= 2:
            both.wait(10)
        try:
            tx.execute(add, {"name": second})
        except Exception as error:
            if not swallows:
                raise
            raise RpcError(2001, "swallowed", "the handler made something else of it") from error
        return {}

    rpc = Rpc(app)
    answers = at_once([
        lambda: rpc.keyed("1", "stock.move", first="a", second="b"),
        lambda: rpc.keyed("2", "stock.move", first="b", second="a"),
    ])  # fmt: skip
    assert [answer.result for answer in answers] == [{}, {}]
    assert len(runs) >= 3, "nothing was given up"
    assert place.run("SELECT amount FROM stock") == [(2,), (2,)]


@on_postgresql
@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
@pytest.mark.parametrize("kind", ["view", "session", "plain"])
def test_what_cannot_be_serialised_is_run_again(place, level, kind):
    """Eight calls that read and write one row: each has one effect, and none is told of the others."""
    app, once = place.app(place.engine(isolation_level=level, pool_size=20))
    place.run("CREATE TABLE counter (value INTEGER)")
    place.run("INSERT INTO counter VALUES (0)")

    def count(tx):
        value = tx.execute(text("SELECT value FROM counter")).scalar()
        time.sleep(0.01)
        tx.execute(text("UPDATE counter SET value = :value"), {"value": value + 1})
        return {"value": value + 1}

    once.method("counter.add")(lambda tx: count(tx))
    app.post("/counter")(once.idempotent()(lambda: count(once.tx)))
    session = Rpc(app).open()

    def send(number):
        if kind == "view":
            reply = app.test_client().post("/counter", headers={"Idempotency-Key": str(number)})
            assert reply.status_code == 200, reply.data
            return reply.json["value"]
        answer = session.do(number, "counter.add") if kind == "session" else Rpc(app).call("counter.add")
        return answer.ok["value"]

    def send_patiently(number):
        """`overloaded` is definite: whoever gets it may ask again."""
        for _ in range(5):
            try:
                return send(number)
            except AssertionError as error:
                if "overloaded" not in str(error) and "busy" not in str(error):
                    raise
        raise AssertionError("refused again and again")

    answers = at_once([partial(send_patiently, number) for number in range(1, 9)])
    assert sorted(answers) == list(range(1, 9))
    assert place.run("SELECT value FROM counter") == [(8,)]


@on_postgresql
def test_reads_and_acknowledgements_under_serializable(place):
    """What the database gives up of a read, or of what a read says of its session, is tried again, in silence."""
    app, once = place.app(place.engine(isolation_level="SERIALIZABLE", pool_size=20))

    @once.method("note.write")
    def note(tx, word: str) -> dict:
        before = tx.execute(text("SELECT count(*) FROM note")).scalar()
        write(tx, word)
        return {"before": before}

    @once.method("note.count", reads=True)
    def count(tx) -> int:
        return int(tx.execute(text("SELECT count(*) FROM note")).scalar_one())

    rpc = Rpc(app)
    session = rpc.open()

    def work(number):
        wrong = []
        for turn in range(1, 9):
            seq = 8 * number + turn
            answers = [
                session.do(seq, "note.write", word=str(seq)),
                rpc.call("note.count", _meta={"session": session.name}),
            ]
            wrong += [answer.error for answer in answers if answer.code not in (None, 11)]
        return wrong

    assert at_once([partial(work, number) for number in range(4)]) == [[]] * 4


@on_postgresql
def test_a_read_is_run_again(place):
    """A read that the database gives up is run again, whatever the handler made of the error."""
    app, once = place.app()
    runs = []

    @once.method("note.count", reads=True)
    def count(tx) -> int:
        runs.append(1)
        if len(runs) < 3:
            try:
                tx.execute(text("DO $$BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40001'; END$$"))
            except Exception as error:
                raise LookupError from error
        return int(tx.execute(text("SELECT count(*) FROM note")).scalar_one())

    assert Rpc(app).call("note.count").result == 0
    assert len(runs) == 3


def test_what_is_always_given_up_is_refused(place):
    """A call that the database gives up again and again is refused in bounds: overloaded, and 503 for a view."""
    shop = Shop(place)

    class GivenUp(Exception):
        sqlstate = "40001"

    def never(tx):
        tx.conflict = GivenUp()
        raise LookupError

    shop.once.method("note.never")(never)
    shop.view(lambda: never(shop.once.tx))
    expect(Rpc(shop.app).keyed("r", "note.never"), 11, 503)
    is_problem(shop.send(), 503, "busy")
    assert place.run("SELECT count(*) FROM once_key") == [(0,)]


def test_a_late_duplicate_races_with_the_acknowledgement(place):
    """A duplicate of call n and the call that acknowledges n come at the same moment: n never runs again."""
    app, once = place.app(place.engine(pool_size=20))

    @once.method("note.write")
    def note(tx, word: str) -> dict:
        write(tx, word)
        return {}

    session = Rpc(app).open()
    turns = 25
    session.do(1, "note.write", word="1")
    for seq in range(2, turns):
        late = str(seq - 1)
        acknowledging, *others = at_once([
            partial(session.do, seq, "note.write", word=str(seq), acked=seq - 1),
            *[partial(session.do, seq - 1, "note.write", word=late)] * 3,
        ])  # fmt: skip
        assert acknowledging.ok == {}
        for other in others:
            assert other.code == 1003 or other.replayed, other
    assert place.notes == [str(seq) for seq in range(1, turns)]
    assert place.run("SELECT count(*) FROM once_record") == [(1,)]


def test_a_key_that_is_forgotten_meanwhile(place):
    """`forget` beside duplicates: each attempt is answered, by a replay or by a new run, and none fails."""
    shop = Shop(place)
    shop.view(lambda: (shop.write(), {})[1])
    runner = shop.app.test_cli_runner()

    def forget():
        for _ in range(10):
            runner.invoke(args=["once", "forget", "k"])

    def send():
        return {shop.send().status_code for _ in range(10)}

    assert at_once([forget, send, send, send])[1:] == [{200}] * 3


def test_a_pool_that_is_exhausted(place):
    """A request that gets no connection is refused, nothing ran, and later it is done."""
    engine = place.engine(pool_size=1, max_overflow=0, pool_timeout=0.2)
    shop = Shop.__new__(Shop)
    shop.place, shop.runs = place, 0
    shop.app, shop.once = place.app(engine)
    shop.once.method("note.write")(lambda tx: write(tx, "a"))
    shop.view(lambda: (shop.write(), {})[1])
    taken = engine.connect()
    is_problem(shop.send(), 503, "database-away")
    expect(Rpc(shop.app).keyed("r", "note.write"), 11, 503)
    assert shop.app.test_client().get("/readyz").status_code == 503
    assert shop.app.test_client().get("/healthz").status_code == 200
    taken.close()
    assert shop.send().status_code == 200
    assert Rpc(shop.app).keyed("r", "note.write").ok == {}
    assert place.notes == ["a", "a"]


@on_postgresql
def test_waiting_duplicates_take_no_connections(place):
    """While one runs and six duplicates wait, another request still finds a connection in a pool of two."""
    other = Shop.__new__(Shop)
    engine = place.engine(pool_size=2, max_overflow=0, pool_timeout=2)
    other.place, other.runs = place, 0
    other.app, other.once = place.app(engine)
    gate, begun = threading.Event(), threading.Event()

    def view():
        other.write("slow")
        begun.set()
        assert gate.wait(20)
        return {}

    other.view(view).view(lambda: other.write("beside"), path="/beside")
    first = in_background(other.send)
    assert begun.wait(10)
    duplicates = [in_background(other.send) for _ in range(6)]
    time.sleep(0.3)
    assert other.send("b", path="/beside").status_code == 200
    gate.set()
    assert [replayed(one.result(60)) for one in (first, *duplicates)] == [False] + [True] * 6
    assert place.notes == ["slow", "beside"] or place.notes == ["beside", "slow"]


@on_postgresql
def test_the_turns_of_a_session_are_waited_for_in_bounds(place):
    """Where a session's calls take turns (REPEATABLE READ), one that waits longer than wait_max_s is refused."""
    app, once = place.app(place.engine(isolation_level="REPEATABLE READ"), wait_max_s=0.3)
    gate, begun = threading.Event(), threading.Event()

    @once.method("note.wait")
    def note(tx, word: str) -> dict:
        begun.set()
        assert word != "first" or gate.wait(20)
        return write(tx, word)

    session = Rpc(app).open()
    first = in_background(lambda: session.do(1, "note.wait", word="first"))
    assert begun.wait(10)
    expect(session.do(2, "note.wait", word="second"), 11, 503)
    gate.set()
    assert first.result(60).ok == {}
    assert session.do(2, "note.wait", word="second").ok == {}
    assert place.notes == ["first", "second"]


def test_one_connection_is_enough(place):
    """With a pool of one, calls, errors, acknowledgements and pruning never need a second one for themselves."""
    app, once = place.app(place.engine(pool_size=1, max_overflow=0, pool_timeout=5))

    @once.method("note.write")
    def note(tx, word: str) -> dict:
        write(tx, word)
        if word == "no":
            raise RpcError(2001, "no", "no")
        if word == "bad":
            raise LookupError
        return {}

    session = Rpc(app).open()

    def work(number):
        for turn, word in enumerate(("yes", "no", "bad", "yes")):
            code = session.do(4 * number + turn + 1, "note.write", word=word).code
            assert code == {"yes": None, "no": 2001, "bad": -32603}[word]

    at_once([partial(work, number) for number in range(3)])
    assert app.test_cli_runner().invoke(args=["once", "prune"]).exit_code == 0
    assert place.notes == ["yes"] * 6


def test_static_pool_and_threads():
    """One connection in memory for all threads: writers and reads take turns, and nothing is lost or told wrongly."""
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE note (number INTEGER PRIMARY KEY, text TEXT, at REAL)"))
    app, once = Place("sqlite://").app(engine)

    @once.method("note.write")
    def note(tx, word: str) -> dict:
        write(tx, word)
        time.sleep(0.005)
        return {}

    @once.method("note.count", reads=True)
    def count(tx) -> int:
        return int(tx.execute(text("SELECT count(*) FROM note")).scalar_one())

    rpc = Rpc(app)

    def writer(number):
        return [rpc.keyed(f"{number}.{turn}", "note.write", word="w").code for turn in range(10)]

    def reader():
        for _ in range(30):
            assert app.test_client().get("/readyz").status_code == 200
            assert app.test_client().get("/metrics").status_code == 200
        return [rpc.call("note.count").code for _ in range(30)]

    answers = at_once([lambda: writer(1), lambda: writer(2), reader, reader])
    assert answers == [[None] * 10, [None] * 10, [None] * 30, [None] * 30]
    assert rpc.call("note.count").result == 20
    engine.dispose()
