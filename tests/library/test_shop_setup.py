"""Setting an application up: the tables, and what is refused in one line with the way out."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from flask import Flask
from sqlalchemy import create_engine, event, text
from sqlalchemy.pool import StaticPool

from oncerpc.flask import OnceRPC, SetupError
from tests.support.postgres import Postgres
from tests.support.shop import Shop

TABLES = ["once_key", "once_meta", "once_record", "once_session"]


def refused(engine: object, **options: object) -> str:
    """The one line that says why."""
    with pytest.raises(SetupError) as raised:
        OnceRPC(Flask("shop"), engine=engine, **options)  # type: ignore[arg-type]
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_an_application_factory_may_set_it_up_later(database: str) -> None:
    """`init_app`, with the engine there or before; and once for an application."""
    once = OnceRPC()
    engine = create_engine(database)
    app = Flask("late")
    with pytest.raises(SetupError, match="needs the database"):
        once.init_app(app)
    once.init_app(app, engine=engine)
    assert app.test_client().get("/readyz").status_code == 200
    with pytest.raises(SetupError, match="already"):
        OnceRPC(app, engine=engine)
    engine.dispose()


def test_the_tables_are_made_and_their_prefix_is_the_users(database: str) -> None:
    """Two applications with different prefixes keep different records in one database."""
    shops = [Shop(database), Shop(database, table_prefix="other_")]
    for shop in shops:
        shop.view(lambda shop=shop: (shop.sell("tea"), {"ok": 1})[1])
        assert shop.post("k").status == 200
        assert not shop.post("k", rule="/buy?x=1").replayed
    assert shops[0].sold() == ["tea", "tea"]
    assert sorted(shops[0].app.extensions["oncerpc"].executor.database.tables.metadata.tables) == TABLES
    for shop in shops:
        shop.engine.dispose()


def _start(url: str) -> None:
    engine = create_engine(url)
    OnceRPC(Flask("shop"), engine=engine)
    engine.dispose()


def test_several_processes_may_start_at_once_on_an_empty_database(database: str) -> None:
    """Each finds the tables or makes them; none fails, and each start is counted."""
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=_start, args=(database,)) for _ in range(6)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 6
    shop = Shop(database)
    assert shop.call("server.info")["boot"] == 7
    shop.engine.dispose()


def test_an_unsupported_dialect_is_refused_by_its_name() -> None:
    """Also one whose driver is not there at all: nothing is connected to."""

    class Dialect:
        name = "mysql"

    engine = create_engine("sqlite://")
    engine.dialect = Dialect()  # type: ignore[assignment]
    assert "mysql" in refused(engine)


def test_what_is_no_engine_is_refused() -> None:
    """A URL, or an asynchronous engine, whose way out is named."""
    assert "Engine" in refused("sqlite:///shop.db")

    class AsyncEngine:
        sync_engine = None

    assert ".sync_engine" in refused(AsyncEngine())


def test_an_engine_in_autocommit_is_refused(database: str) -> None:
    """Effect and record could not be one transaction."""
    assert "AUTOCOMMIT" in refused(create_engine(database, isolation_level="AUTOCOMMIT"))
    assert "AUTOCOMMIT" in refused(create_engine(database).execution_options(isolation_level="AUTOCOMMIT"))


@pytest.mark.parametrize(("found", "whose"), [(0, "older"), (2, "newer")])
def test_records_of_another_release_are_refused_and_left_alone(database: str, found: int, whose: str) -> None:
    """The line says of which release they are."""
    shop = Shop(database)
    with shop.engine.begin() as connection:
        connection.execute(text(f"UPDATE once_meta SET schema_version = {found}"))
    assert whose in refused(shop.engine)
    shop.engine.dispose()


def test_a_database_without_rights_to_make_tables_is_refused(postgres: Postgres, tmp_path: Path) -> None:
    """With who may do it, and how; with the tables there, the same user may start."""
    url = postgres.database()
    with psycopg.connect(url) as connection:
        connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        connection.execute("DROP ROLE IF EXISTS clerk")
        connection.execute("CREATE ROLE clerk LOGIN")
    clerk = create_engine(url.replace("once@", "clerk@").replace("postgresql:", "postgresql+psycopg:"))
    assert "flask once init" in refused(clerk)
    owner = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    OnceRPC(Flask("owner"), engine=owner)
    with owner.begin() as connection:
        connection.execute(text("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO clerk"))
        connection.execute(text("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO clerk"))
    OnceRPC(Flask("clerk"), engine=clerk)
    with owner.begin() as connection:
        connection.execute(text("DROP OWNED BY clerk"))
        connection.execute(text("DROP ROLE clerk"))
    clerk.dispose()
    owner.dispose()


def test_a_database_that_is_away_is_refused_without_its_password() -> None:
    """One line; the password of the URL is not in it."""
    why = refused(create_engine("postgresql+psycopg://u:tomato@127.0.0.1:9/db"))
    assert "127.0.0.1:9" in why
    assert "tomato" not in why


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("path", "rpc"),
        ("path", "/rpc/"),
        ("on_duplicate", "drop"),
        ("key_ttl_s", 0),
        ("wait_max_s", -1),
        ("table_prefix", "a b"),
    ],
)
def test_wrong_options_are_refused(option: str, value: object) -> None:
    """At the start, and by name."""
    assert option in refused(create_engine("sqlite://"), **{option: value})


def test_flask_shows_the_line_and_no_traceback(tmp_path: Path) -> None:
    """`flask run` with a database that cannot be used ends with that line."""
    (tmp_path / "app.py").write_text(
        "from flask import Flask\nfrom sqlalchemy import create_engine\nfrom oncerpc.flask import OnceRPC\n"
        "app = Flask('app')\nOnceRPC(app, engine=create_engine('sqlite:////nowhere/shop.db'))\n"
    )
    words = [sys.executable, "-m", "flask", "--app", "app", "run", "--port", "0"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "/nowhere/shop.db" in done.stderr.strip().splitlines()[-1]


def test_a_database_in_memory_works_in_one_thread_and_in_many() -> None:
    """SQLite in memory with SQLAlchemy's own pool, and with the one that is made for threads."""
    for engine in (
        create_engine("sqlite://"),
        create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}),
    ):
        shop = Shop("", engine=engine)
        shop.view(lambda shop=shop: (shop.sell("tea"), {"ok": 1})[1])
        assert [shop.post().replayed for _ in range(2)] == [False, True]
        assert shop.sold() == ["tea"]
        engine.dispose()


def test_an_engine_with_a_begin_of_its_own_works(tmp_path: Path) -> None:
    """The recipe of SQLAlchemy's documentation for SQLite: the driver's own transactions off, BEGIN by an event."""
    engine = create_engine(f"sqlite:///{tmp_path}/shop.db")

    @event.listens_for(engine, "connect")
    def off(connection, _record):
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def begin(connection):
        connection.exec_driver_sql("BEGIN")

    shop = Shop("", engine=engine)
    shop.view(lambda: (shop.sell("tea"), {"ok": 1})[1])
    assert [shop.post().replayed for _ in range(2)] == [False, True]
    assert shop.post("other").status == 200
    assert shop.sold() == ["tea", "tea"]
    engine.dispose()


def test_switched_off_it_runs_every_request_and_says_so(database: str, monkeypatch, caplog) -> None:
    """ONCERPC_DISABLED=1: for tests; the log says it loudly at the start."""
    monkeypatch.setenv("ONCERPC_DISABLED", "1")
    shop = Shop(database)
    assert "EVERY REQUEST RUNS" in caplog.text
    shop.view(lambda: (shop.sell("tea"), {"ok": 1})[1], required=True)
    assert [shop.post().replayed for _ in range(2)] == [False, False]
    assert shop.post(None).status == 200

    @shop.once.method("shop.order")
    def order(tx) -> None:
        tx.execute(text("INSERT INTO sold VALUES ('tea')"))

    session = shop.session()
    for _ in range(2):
        assert shop.call("shop.order", session=session, seq=1) == {}
        assert shop.call("shop.order", key="k") == {}
    assert len(shop.sold()) == 7
    assert "Switched off" in shop.app.test_client().get("/rpc/policy").text
    shop.engine.dispose()


def test_a_forked_process_does_not_share_its_parents_connections(postgres: Postgres) -> None:
    """A server that forks after it has loaded the application (gunicorn --preload) works on."""
    shop = Shop(postgres.database().replace("postgresql:", "postgresql+psycopg:"))
    shop.view(lambda: (shop.sell("tea"), {"ok": 1})[1])
    assert shop.post("before").status == 200
    child = os.fork()
    if not child:
        code = 1
        try:
            code = 0 if shop.post("in the child".replace(" ", "-")).status == 200 else 1
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert shop.post("after").status == 200
    assert shop.sold() == ["tea"] * 3
    shop.engine.dispose()
