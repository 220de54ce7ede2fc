"""Set-up: the tables are made when missing, and what cannot keep the promise is refused at the start, in one line."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from unittest.mock import MagicMock

import pytest
from flask import Flask
from sqlalchemy import create_engine, event, inspect, text
from sqlalchemy.pool import StaticPool

from oncerpc.flask import OnceRPC, SetupError
from tests.library.conftest import on_postgresql, on_sqlite
from tests.support.calling import Rpc
from tests.support.places import Place, write

TABLES = {"once_meta", "once_session", "once_record", "once_key"}


def refusal(engine, **options):
    """Why this cannot be set up; one line."""
    with pytest.raises(SetupError) as raised:
        OnceRPC(Flask("shop"), engine, **options)
    assert "\n" not in str(raised.value.message)
    return raised.value.message


def test_the_tables_are_made_when_missing(place):
    """After the first start they are there, and a second start leaves what is in them."""
    place.app()
    assert set(inspect(place.engine()).get_table_names()) >= TABLES
    place.run("INSERT INTO once_session (name, lease_ms, expires_ms, acked) VALUES ('s', 1, 1, 0)")
    place.app()
    assert place.run("SELECT name FROM once_session") == [("s",)]
    assert place.run("SELECT boot FROM once_meta") == [(2,)]


def test_init_app_sets_up_later(place):
    """The application may come after the extension, as Flask's extensions have it."""
    once = OnceRPC()

    @once.method("note.write")
    def write_note(tx):
        write(tx, "a")
        return {}

    app = Flask("shop")
    once.init_app(app, engine=place.engine())
    assert Rpc(app).call("note.write").ok == {}
    assert place.notes == ["a"]


@pytest.mark.parametrize("prefix", ["shop_", "Shop_", "order_"])
def test_a_prefix_of_ones_own(place, prefix):
    """The tables have the prefix that is asked for, in capitals too, and two prefixes keep records of their own."""
    for one in ("once_", prefix):
        app, once = place.app(table_prefix=one)

        @app.post("/notes")
        @once.idempotent()
        def create(once=once):
            write(once.tx, "a")
            return {}

        for _ in range(2):
            assert app.test_client().post("/notes", headers={"Idempotency-Key": "k"}).status_code == 200
    assert f"{prefix}key" in inspect(place.engine()).get_table_names()
    assert place.notes == ["a", "a"]


@pytest.mark.parametrize("url", ["mysql+pymysql://u:secret@h/d", "oracle+oracledb://u:secret@h/d"])
def test_another_dialect_is_refused_by_name(url):
    """MySQL and Oracle are named, with what may be used instead, and no password is shown."""
    driver = MagicMock(paramstyle="named", version="3.0.0", __version__="3.0.0")
    said = refusal(create_engine(url, module=driver))
    assert url.partition("+")[0] in said
    assert "postgresql" in said
    assert "sqlite" in said
    assert "secret" not in said


def test_no_engine_and_no_engine_at_all():
    """Something else in the engine's place is refused, and so is none."""
    assert "AsyncEngine" not in refusal("sqlite:///shop.db")
    with pytest.raises(SetupError, match="engine=create_engine"):
        OnceRPC().init_app(Flask("shop"))


class AsyncEngine:
    """What SQLAlchemy's looks like; the real one needs greenlet, which nothing here does."""

    sync_engine = create_engine("sqlite://")


def test_an_async_engine_is_refused():
    """The message names the way out: its sync_engine."""
    said = refusal(AsyncEngine())
    assert "AsyncEngine" in said
    assert ".sync_engine" in said


@pytest.mark.parametrize("way", ["create_engine", "execution_options", "engine.execution_options"])
def test_autocommit_is_refused(place, way):
    """However an engine comes to commit each statement: effect and record could not be one transaction there."""
    if way == "create_engine":
        engine = place.engine(isolation_level="AUTOCOMMIT")
    elif way == "execution_options":
        engine = place.engine(execution_options={"isolation_level": "AUTOCOMMIT"})
    else:
        engine = place.engine().execution_options(isolation_level="AUTOCOMMIT")
    assert "AUTOCOMMIT" in refusal(engine)


@on_postgresql
def test_autocommit_of_the_driver_is_refused(place):
    """SQLAlchemy does not know what the driver was told; the database does."""
    assert "AUTOCOMMIT" in refusal(place.engine(connect_args={"autocommit": True}))


@on_sqlite
@pytest.mark.parametrize("autocommit", [True, False])
def test_autocommit_of_sqlite3(place, autocommit):
    """From Python 3.12 on sqlite3 has it: True is refused, and False, which SQLAlchemy recommends, works."""
    if sys.version_info < (3, 12):
        return  # there is nothing to set
    engine = place.engine(connect_args={"autocommit": autocommit})
    if autocommit:
        assert "AUTOCOMMIT" in refusal(engine)
        return
    app, once = place.app(engine)

    @app.post("/notes/<word>")
    @once.idempotent()
    def create(word):
        write(once.tx, word)
        return {}, 409 if word == "bad" else 201

    client = app.test_client()
    for _ in range(2):
        assert client.post("/notes/good", headers={"Idempotency-Key": "a"}).status_code == 201
        assert client.post("/notes/bad", headers={"Idempotency-Key": "b"}).status_code == 409
    assert place.notes == ["good"]


@on_postgresql
def test_autocommit_set_by_an_event_is_refused(place):
    """What an event listener does to the driver's connection counts too."""
    engine = place.engine()

    @event.listens_for(engine, "connect")
    def autocommit(connection, _record):
        connection.autocommit = True

    assert "AUTOCOMMIT" in refusal(engine)


@on_sqlite
def test_sqlites_own_way_to_begin_is_respected(place):
    """The recipe of SQLAlchemy's documentation, isolation_level None and BEGIN by an event, works."""
    engine = place.engine()

    @event.listens_for(engine, "connect")
    def leave_it(connection, _record):
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def begin(connection):
        connection.exec_driver_sql("BEGIN")

    app, once = place.app(engine)

    @app.post("/notes/<word>")
    @once.idempotent()
    def create(word):
        write(once.tx, word)
        return {}, 409 if word == "bad" else 201

    client = app.test_client()
    for _ in range(2):
        assert client.post("/notes/good", headers={"Idempotency-Key": "a"}).status_code == 201
        assert client.post("/notes/bad", headers={"Idempotency-Key": "b"}).status_code == 409
    assert place.notes == ["good"]


@on_sqlite
def test_a_file_that_may_not_be_written(place, tmp_path):
    """A database that cannot be written to is refused, with the way out."""
    said = refusal(create_engine(f"sqlite:///file:{tmp_path}/shop.db?mode=ro&uri=true"))
    assert "flask once init" in said


@on_postgresql
def test_no_right_to_make_tables(place):
    """Who may not make the tables is told who can, and with the rights that the message names everything works."""
    assert place.postgres is not None
    database = place.url.rpartition("/")[2]
    role = f"clerk_{database}"
    place.run(f"CREATE ROLE {role} LOGIN")
    place.run("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    clerk = Place(place.postgres.url(database, user=role))
    said = refusal(clerk.engine())
    assert "GRANT SELECT, INSERT, UPDATE and DELETE".lower() in said.lower()
    place.app()
    place.run(f"GRANT SELECT, INSERT, UPDATE, DELETE ON once_meta, once_session, once_record, once_key TO {role}")
    app, _ = clerk.app()
    assert "session" in Rpc(app).call("session.open").ok
    clerk.close()
    place.run(f"DROP OWNED BY {role}")
    place.run(f"DROP ROLE {role}")


@pytest.mark.parametrize(("version", "word"), [(0, "older"), (2, "newer")])
def test_tables_of_another_release(place, version, word):
    """They are left alone, and the message says of which release they are."""
    place.app()
    place.run("UPDATE once_meta SET schema_version = :v", v=version)
    said = refusal(place.engine())
    assert word in said
    assert str(version) in said
    assert place.run("SELECT schema_version, boot FROM once_meta") == [(version, 1)]


def test_a_database_that_is_away(tmp_path):
    """One line with the reason and without the password, for a server and for a file."""
    assert "secret" not in refusal(create_engine("postgresql+psycopg://u:secret@127.0.0.1:1/d"))
    assert "cannot be used" in refusal(create_engine(f"sqlite:///{tmp_path}/missing/shop.db"))


@pytest.mark.parametrize("options", [
    {"path": "rpc"}, {"path": "/"}, {"on_duplicate": "maybe"}, {"key_ttl_s": 0}, {"wait_max_s": -1},
    {"table_prefix": "a b"}, {"table_prefix": ""},
])  # fmt: skip
def test_arguments_that_mean_nothing(options):
    """Each is refused by its name."""
    assert next(iter(options)) in refusal(create_engine("sqlite://"), **options)


def test_one_extension_an_application(place):
    """A second one on the same application is refused."""
    app, _ = place.app()
    with pytest.raises(SetupError, match="already"):
        OnceRPC(app, place.engine())


def test_without_set_up_a_view_says_so():
    """An application without init_app gets a clear error, not a view that is not retry-safe."""
    once, app = OnceRPC(), Flask("shop")
    app.testing = True
    app.post("/notes")(once.idempotent()(test_arguments_that_mean_nothing))
    with pytest.raises(RuntimeError, match="init_app"):
        app.test_client().post("/notes")


STARTER = """
import sys
from flask import Flask
from sqlalchemy import create_engine
from oncerpc.flask import OnceRPC
options = {"isolation_level": sys.argv[2]} if sys.argv[2] else {}
engine = create_engine(sys.argv[1], **options)
sys.stdin.readline()
OnceRPC(Flask("shop"), engine)
"""


@pytest.mark.parametrize("isolation", ["", "SERIALIZABLE"])
def test_several_processes_start_at_once(place, isolation):
    """On an empty database each of four finds or makes the tables, and each start is counted."""
    words = [sys.executable, "-c", STARTER, place.url, isolation]
    started = [subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=60)[1] for process in started]
    assert [process.returncode for process in started] == [0] * 4, said
    assert place.run("SELECT count(*), max(boot) FROM once_meta") == [(1, 4)]


@on_sqlite
def test_no_connection_is_carried_over_a_fork(place):
    """SQLite's connections must not be used in a child, as gunicorn --preload would: it gets none of its parent's."""
    app, once = place.app()

    @app.post("/notes")
    @once.idempotent()
    def create():
        write(once.tx, "a")
        return {"parent": id(once.tx.connection.dbapi_connection)}

    client = app.test_client()
    client.post("/notes")
    engine = place.engines[-1]
    assert engine.pool.checkedin() == 1
    reader, writer = multiprocessing.Pipe()
    if not (child := os.fork()):
        writer.send((engine.pool.checkedin(), client.post("/notes").status_code))
        os._exit(0)
    os.waitpid(child, 0)
    assert reader.recv() == (0, 200)
    assert place.notes == ["a", "a"]


@pytest.mark.parametrize("pool", ["StaticPool", "SingletonThreadPool"])
def test_sqlite_in_memory(pool):
    """With either pool that memory takes, a test client's requests are retry-safe."""
    options = {"poolclass": StaticPool, "connect_args": {"check_same_thread": False}} if pool == "StaticPool" else {}
    engine = create_engine("sqlite://", **options)
    place = Place("sqlite://")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE note (number INTEGER PRIMARY KEY, text TEXT, at REAL)"))
    app, once = place.app(engine)

    @app.post("/notes")
    @once.idempotent(required=True)
    def create():
        write(once.tx, "a")
        return {"made": True}, 201

    replies = [app.test_client().post("/notes", headers={"Idempotency-Key": "k"}) for _ in range(3)]
    assert [reply.headers.get("Idempotent-Replayed") for reply in replies] == [None, "true", "true"]
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM note")).scalar() == 1
    engine.dispose()
