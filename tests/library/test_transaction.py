"""What a handler may do with its transaction; of one that it ends itself nothing stays, and it gets an error."""

from __future__ import annotations

import contextlib
import sqlite3
import threading

import pytest
from sqlalchemy import DDL, Column, Integer, String, create_engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.pool import StaticPool

from oncerpc import RpcError
from tests.library.conftest import on_postgresql, on_sqlite
from tests.support.calling import Rpc
from tests.support.places import Place, write
from tests.support.repetitions import one_in
from tests.support.replies import expect


class Base(DeclarativeBase):
    """The mapping of what is in the place already."""


class Note(Base):
    """A row that a handler writes."""

    __tablename__ = "note"
    number = Column(Integer, primary_key=True)
    text = Column(String(200), nullable=False)


def orm(tx, word, end):
    """Write by the ORM, end the session as `end` says."""
    session = Session(tx)
    session.add(Note(text=word))
    end(session)


def begin_and_raise(tx):
    """A session's own block, from which an error comes that is dealt with."""
    write(tx, "before")
    try:
        with Session(tx) as session, session.begin():
            session.add(Note(text="within"))
            session.flush()
            raise LookupError
    except LookupError:
        pass


def savepoint(tx):
    """Keep one, roll one back."""
    with tx.begin_nested():
        write(tx, "kept")
    with contextlib.suppress(LookupError), tx.begin_nested():
        write(tx, "dropped")
        raise LookupError
    point = tx.begin_nested()
    write(tx, "dropped too")
    point.rollback()


def savepoints_of_a_session(tx):
    """A session's nested transactions are savepoints as well."""
    with Session(tx) as session:
        with session.begin_nested():
            session.add(Note(text="kept"))
        with pytest.raises(IntegrityError), session.begin_nested():
            session.add(Note(text=None))
        session.commit()


def savepoint_by_hand(tx):
    """In SQL, as libraries do it."""
    tx.execute(text("SAVEPOINT one"))
    write(tx, "dropped")
    tx.execute(text("ROLLBACK TO SAVEPOINT one"))
    write(tx, "kept")
    tx.execute(text("RELEASE SAVEPOINT one"))


def words_that_look_like_an_end(tx):
    """What only looks like the end of a transaction."""
    for word in ("commit", "a; commit", "-- rollback", "it's; ROLLBACK"):
        tx.execute(text("INSERT INTO note (text) VALUES (:word)"), {"word": word})
    tx.execute(text("INSERT INTO note (text) VALUES ('said; commit; rollback')"))


GOOD = {
    "commit": (lambda tx: orm(tx, "a", lambda session: session.commit()), ["a"]),
    "two commits": (lambda tx: [orm(tx, one, lambda session: session.commit()) for one in "ab"], ["a", "b"]),
    "flush alone": (lambda tx: orm(tx, "a", lambda session: session.flush()), ["a"]),
    "flush and close": (lambda tx: orm(tx, "a", lambda session: (session.flush(), session.close())), ["a"]),
    "savepoint": (savepoint, ["kept"]),
    "savepoints of a session": (savepoints_of_a_session, ["kept"]),
    "savepoint by hand": (savepoint_by_hand, ["kept"]),
    "words": (words_that_look_like_an_end,
              ["commit", "a; commit", "-- rollback", "it's; ROLLBACK", "said; commit; rollback"]),
}  # fmt: skip


def apps_of(place, handler):
    """The same handler as a method and as a view; what each answers, by its identity."""
    app, once = place.app()

    @once.method("note.write")
    def method(tx) -> dict:
        handler(tx)
        return {}

    @app.post("/notes")
    @once.idempotent(required=True)
    def view():
        handler(once.tx)
        return {}

    return {
        "method": lambda: Rpc(app).keyed("k", "note.write"),
        "view": lambda: app.test_client().post("/notes", headers={"Idempotency-Key": "v"}),
    }


@pytest.mark.parametrize("door", ["method", "view"])
@pytest.mark.parametrize("name", GOOD)
def test_what_a_handler_may_do(place, door, name):
    """Sessions that commit or only flush, and savepoints: what was written stays, once."""
    handler, notes = GOOD[name]
    send = apps_of(place, handler)[door]
    first, second = send(), send()
    assert place.notes == notes
    if door == "method":
        assert (first.ok, second.replayed) == ({}, True)
    else:
        assert (first.status_code, second.headers.get("Idempotent-Replayed")) == (200, "true")


def roll_back_in_except(tx):
    """Deal with an error by a rollback, as is the custom, and go on."""
    try:
        tx.execute(text("INSERT INTO note (text) VALUES (NULL)"))
    except DBAPIError:
        tx.rollback()
    write(tx, "after")


def swallow(how):
    """Try to end it, and go on as if nothing were."""

    def handler(tx):
        try:
            how(tx)
        except Exception as error:
            tx.info["swallowed"] = error
        write(tx, "after")

    return handler


def in_a_block(tx):
    """As a context manager a Connection closes itself."""
    with tx:
        write(tx, "within")


ENDS = {
    "tx.commit": lambda tx: tx.commit(),
    "tx.rollback": lambda tx: tx.rollback(),
    "tx.close": lambda tx: tx.close(),
    "with tx": in_a_block,
    "the transaction's commit": lambda tx: tx.get_transaction().commit(),
    "the transaction's rollback": lambda tx: tx.get_transaction().rollback(),
    "session.rollback": lambda tx: orm(tx, "a", lambda session: (session.flush(), session.rollback())),
    "COMMIT": lambda tx: tx.execute(text("COMMIT")),
    "commit;": lambda tx: tx.execute(text("  commit ;")),
    "END": lambda tx: tx.execute(text("END")),
    "ROLLBACK": lambda tx: tx.execute(text("rollback")),
    "scalar": lambda tx: tx.scalar(text("COMMIT")),
    "a session's COMMIT": lambda tx: Session(tx).execute(text("COMMIT")),
    "behind a comment": lambda tx: tx.execute(text("/* so */ -- and so\n COMMIT")),
    "DDL": lambda tx: tx.execute(DDL("COMMIT")),
    "driver's SQL": lambda tx: tx.exec_driver_sql("COMMIT"),
    "in except": roll_back_in_except,
    "begin_and_raise": begin_and_raise,
}


@pytest.mark.parametrize("door", ["method", "view"])
@pytest.mark.parametrize("swallows", [False, True], ids=["raised", "swallowed"])
@pytest.mark.parametrize("name", one_in(2, ENDS, "ends of a transaction"))
def test_a_handler_that_ends_its_transaction(place, door, name, swallows, caplog):
    """It gets an error, its caller internal_error or 500, nothing stays or is recorded, and the log says what to do."""

    def handler(tx):
        write(tx, "first")
        (swallow(ENDS[name]) if swallows else ENDS[name])(tx)

    send = apps_of(place, handler)[door]
    for _ in range(2):
        answer = send()
        if door == "method":
            expect(answer, -32603)
        else:
            assert answer.status_code == 500
            assert answer.mimetype == "application/problem+json"
    assert place.notes == []
    assert place.run("SELECT count(*) FROM once_key") == [(0,)]
    assert "begin_nested" in caplog.text


@on_postgresql
@pytest.mark.parametrize("statement", ["SELECT 1; COMMIT", "SELECT ';'; ROLLBACK;", "SELECT $a$;commit$a$; END"])
def test_an_end_behind_another_statement(place, statement):
    """psycopg takes several statements at once, and an end that stands behind another one is found as well."""
    send = apps_of(
        place, lambda tx: [one(tx) for one in (lambda tx: write(tx, "first"), lambda tx: tx.execute(text(statement)))]
    )["method"]
    expect(send(), -32603)
    assert place.notes == []


@on_postgresql
def test_a_constant_with_a_semicolon_is_no_end(place):
    """What stands in quotes of any kind, or in a comment, is not looked at."""
    words = ["$$a; commit$$", "$q$ ;rollback $q$", "'a''; commit'", "/* ; commit */ 'x'", "-- ; commit\n 'y'"]
    send = apps_of(place, lambda tx: [tx.execute(text(f"INSERT INTO note (text) VALUES ({one})")) for one in words])
    assert send["method"]().ok == {}
    assert len(place.notes) == len(words)


@on_sqlite
@pytest.mark.parametrize("how", ["or rollback", "trigger", "driver's commit", "driver's rollback"])
def test_sqlite_ended_it(place, how):
    """SQLite itself, or the driver, may end the transaction: the handler's reply must not go as if nothing had been."""
    place.run("INSERT INTO note (number, text) VALUES (1, 'there')")
    place.run("CREATE TRIGGER bad BEFORE INSERT ON note WHEN new.text = 'bad' BEGIN SELECT RAISE(ROLLBACK, 'no'); END")

    def handler(tx):
        write(tx, "first")
        try:
            if how == "or rollback":
                tx.execute(text("INSERT OR ROLLBACK INTO note (number, text) VALUES (1, 'second')"))
            elif how == "trigger":
                write(tx, "bad")
            elif how == "driver's commit":
                tx.connection.commit()
            else:
                tx.connection.rollback()
        except DBAPIError:
            pass
        write(tx, "after")

    send = apps_of(place, handler)["method"]
    expect(send(), -32603)
    left = ["there", "first"] if how == "driver's commit" else ["there"]  # what is committed is beyond reach
    assert place.notes == left
    assert place.run("SELECT count(*) FROM once_key") == [(0,)]


@on_postgresql
def test_the_drivers_commit_on_postgresql(place):
    """What the driver was told to commit is beyond reach; nobody is told ok, nothing runs twice, `forget` ends it."""
    app, once = place.app()
    runs = []

    @once.method("note.write")
    def note(tx) -> dict:
        runs.append(1)
        write(tx, f"{len(runs)}")
        if len(runs) == 1:
            tx.connection.commit()
        return write(tx, "after")

    for _ in range(3):
        expect(Rpc(app).keyed("k", "note.write"), -32603)
    assert place.notes == ["1"]
    runner = app.test_cli_runner()
    assert "status: unknown" in runner.invoke(args=["once", "show", "k", "--body"]).output
    assert runner.invoke(args=["once", "forget", "k"]).exit_code == 0
    assert Rpc(app).keyed("k", "note.write").ok == {}
    assert place.notes == ["1", "2", "after"]


def test_a_static_pools_connection_is_shared():
    """With StaticPool another use of the engine in the handler ends its transaction: an error, nothing half done."""
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE note (number INTEGER PRIMARY KEY, text TEXT, at REAL)"))
    app, once = Place("sqlite://").app(engine)

    @once.method("note.write")
    def note(tx) -> dict:
        write(tx, "a")
        with engine.connect() as other:
            other.execute(text("SELECT 1"))
        return {}

    expect(Rpc(app).keyed("k", "note.write"), -32603)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM note")).scalar() == 0
    engine.dispose()


def test_a_rollback_before_a_no(place):
    """A session that rolls back on the way of an error, which becomes a recorded no: that is the custom, and right."""
    app, once = place.app()
    runs = []

    @once.method("note.write")
    def note(tx) -> dict:
        runs.append(1)
        session = Session(tx)
        try:
            session.add(Note(text=None))
            session.flush()
        except IntegrityError as error:
            session.rollback()
            raise RpcError(2001, "bad_note", "a note needs a text") from error
        return {}

    @app.post("/notes")
    @once.idempotent()
    def view():
        runs.append(1)
        session = Session(once.tx)
        try:
            session.add(Note(text=None))
            session.commit()
        except IntegrityError:
            session.rollback()
            return {"error": "a note needs a text"}, 409
        return {}

    first, second = (Rpc(app).keyed("k", "note.write") for _ in range(2))
    assert (first.code, second.code, second.replayed) == (2001, 2001, True)
    replies = [app.test_client().post("/notes", headers={"Idempotency-Key": "v"}) for _ in range(2)]
    assert [reply.status_code for reply in replies] == [409, 409]
    assert replies[1].headers["Idempotent-Replayed"] == "true"
    assert len(runs) == 2
    assert place.notes == []


def test_a_swallowed_database_error(place):
    """On PostgreSQL the transaction is lost with it, so the call is not told ok; on SQLite only the statement is."""

    def handler(tx):
        write(tx, "before")
        with contextlib.suppress(IntegrityError):
            tx.execute(text("INSERT INTO note (text) VALUES (NULL)"))

    send = apps_of(place, handler)["method"]
    if place.kind == "sqlite":
        assert send().ok == {}
        assert place.notes == ["before"]
    else:
        expect(send(), -32603)
        assert place.notes == []


def test_a_table_may_be_made_in_it(place):
    """DDL is part of the transaction, on both."""
    app, once = place.app()

    @once.method("note.table")
    def table(tx, fail: bool) -> dict:
        tx.execute(text("CREATE TABLE extra (a INTEGER)"))
        if fail:
            raise RpcError(2001, "no", "no")
        return {}

    assert Rpc(app).call("note.table", fail=True).code == 2001
    assert Rpc(app).call("note.table", fail=False).ok == {}
    assert place.run("SELECT count(*) FROM extra") == [(0,)]


@on_sqlite
def test_a_commit_that_a_reader_holds_up(place):
    """A reader may keep SQLite from committing for longer than the driver waits: the call is run again, done once."""
    engine = place.engine(connect_args={"timeout": 0.05})
    app, once = place.app(engine)
    runs = []

    @once.method("note.write")
    def note(tx) -> dict:
        runs.append(1)
        write(tx, "a")
        return {}

    reader = sqlite3.connect(place.url.removeprefix("sqlite:///"), check_same_thread=False, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM note").fetchall()
    timer = threading.Timer(0.5, reader.rollback)
    timer.start()
    assert Rpc(app).keyed("k", "note.write").ok == {}
    timer.join()
    reader.close()
    assert len(runs) > 1, "nothing kept it from committing"
    assert place.notes == ["a"]
    assert Rpc(app).keyed("k", "note.write").replayed


@pytest.mark.parametrize("name", one_in(2, ENDS, "what the pool gets back"))
def test_the_pool_gets_clean_connections_back(place, name):
    """After a handler that ended its transaction the next request's is a new one, with nothing of the other in it."""
    app, once = place.app(place.engine(pool_size=1, max_overflow=0))

    @once.method("note.write")
    def note(tx, ends: bool) -> dict:
        write(tx, "bad" if ends else "good")
        if ends:
            swallow(ENDS[name])(tx)
        return {}

    expect(Rpc(app).call("note.write", ends=True), -32603)
    assert Rpc(app).keyed("k", "note.write", ends=False).ok == {}
    assert place.notes == ["good"]
