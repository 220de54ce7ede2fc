"""What a wrong URL, a wrong database or a missing driver gets: one line with the cause and the way out, no password."""

from __future__ import annotations

import sys
from functools import partial

import pytest

from oncekv.server.config import StartupError, UsageError
from oncekv.server.engine.storage import check_url, open_store
from oncekv.server.engine.storage.postgresql_url import connection_string, scrub
from tests.support.postgres import Postgres
from tests.support.server import oncekv
from tests.support.waiting import at_once

SECRET = "tomato-soup"


def refused(url: str, code: int, *names: str) -> None:
    """`oncekv serve` says why in one line, and shows no password."""
    done = oncekv("serve", "--listen", "127.0.0.1:0", "--store", url)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert SECRET not in done.stderr
    assert "Traceback" not in done.stderr
    for name in names:
        assert name in done.stderr


@pytest.mark.parametrize(
    "rest",
    [
        "", "host", "host/", f"u:{SECRET}@host", f"u:{SECRET}@host:port/db", f"u:{SECRET}@host:0/db",
        f"u:{SECRET}@host:65536/db", f"u:{SECRET}/x@host/db", f"u:{SECRET}@x@host/db", f"u:%zz{SECRET}@host/db",
        f"u:{SECRET}@host/db?nope=1", f"u:{SECRET}@host/db?sslmode=maybe", f"u:{SECRET}@h1:1,h2:2,h3:3,h4/d/b",
        f"u:{SECRET}@host/db?target_session_attrs=read-only", f"u:{SECRET}@host/db?target_session_attrs={SECRET}",
        f"u:{SECRET}@host/%00",
    ],
)  # fmt: skip
def test_a_url_that_cannot_be_understood(rest):
    """Wrong usage, found before anybody connects, and nothing of it is repeated."""
    with pytest.raises(UsageError) as caught:
        check_url(f"postgresql://{rest}")
    assert SECRET not in str(caught.value)
    assert "postgresql://USER" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "rest",
    [
        "u@host/db", "u:p%40ss%2Fw@host:5432/db", "u@h1:1,h2:2,h3:3/db?target_session_attrs=read-write",
        "u@h1,h2/db?target_session_attrs=primary", "u@[::1]:5432/db", "/db", "u@host/db?sslmode=verify-full",
    ],
)  # fmt: skip
def test_a_url_as_libpq_has_it(rest):
    """Several hosts and their options among them."""
    check_url(f"postgresql://{rest}")


def test_wrong_usage_ends_with_2():
    """As for any wrong command line."""
    refused(f"postgresql://u:{SECRET}@host:port/db", 2, "postgresql://USER")


def test_a_database_that_is_not_there(own_postgres):
    """Nobody listens; no such database; no such user: each is named, and none is made."""
    refused(f"postgresql://u:{SECRET}@127.0.0.1:1/db", 1, "127.0.0.1", "see that it runs")
    at = f"127.0.0.1:{own_postgres.port}"
    refused(f"postgresql://postgres:{SECRET}@{at}/nowhere", 1, '"nowhere"', "createdb")
    refused(f"postgresql://nobody:{SECRET}@{at}/postgres", 1, '"nobody"')


def test_a_refused_password(own_postgres):
    """The cause, and that it is the password; not which one."""
    with own_postgres.connect() as admin:
        admin.execute("CREATE ROLE guest LOGIN PASSWORD 'right'")
        (path,) = admin.execute("SHOW hba_file").fetchone()
        (before,) = admin.execute("SELECT pg_read_file(%s)", (path,)).fetchone()
        admin.execute(f"COPY (SELECT 'host all guest all scram-sha-256') TO PROGRAM 'cat - {path} > {path}.new'")
        admin.execute(f"COPY (SELECT 1) TO PROGRAM 'cat {path}.new > {path}'")
        admin.execute("SELECT pg_reload_conf()")
        try:
            url = f"postgresql://guest:{SECRET}@127.0.0.1:{own_postgres.port}/postgres"
            refused(url, 1, "password")
        finally:
            admin.execute(f"COPY (SELECT '{before.splitlines()[-1]}') TO PROGRAM 'cat - > /dev/null'")


def test_tables_are_made_once(postgres_url):
    """However many servers find the database empty at the same moment."""
    for store in at_once([partial(open_store, postgres_url) for _ in range(8)], timeout_s=60):
        store.close()


def test_another_schema_is_left_alone(own_postgres, database, postgres_url):
    """A newer one, an older one that nobody made, tables of another program: refused, and untouched."""
    open_store(postgres_url).close()
    with own_postgres.connect(database) as admin:
        for version, says in ((99, "newer release"), (-1, "schema -1")):
            admin.execute("UPDATE oncekv_schema SET version = %s", (version,))
            refused(postgres_url, 1, says)
            assert admin.execute("SELECT version FROM oncekv_schema").fetchone() == (version,)


def test_another_programs_table_leaves_no_half_of_a_schema(own_postgres, database, postgres_url):
    """Where one of our names is taken, none of the other tables is made."""
    with own_postgres.connect(database) as admin:
        admin.execute("CREATE TABLE oncekv_kv (notes text)")
        refused(postgres_url, 1, "oncekv_kv", "name another database")
        found = admin.execute("SELECT count(*) FROM pg_tables WHERE tablename LIKE 'oncekv%'").fetchone()
        assert found == (1,)


def test_a_read_only_database(own_postgres, database, postgres_url):
    """It is found out at the start."""
    with own_postgres.connect() as admin:
        admin.execute(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
    refused(postgres_url, 1, "read-only")


def test_a_user_who_may_make_no_tables(own_postgres, database):
    """The rights that are missing are named."""
    with own_postgres.connect(database) as admin:
        admin.execute("DROP ROLE IF EXISTS poor")
        admin.execute("CREATE ROLE poor LOGIN")
        admin.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    refused(f"postgresql://poor:{SECRET}@127.0.0.1:{own_postgres.port}/{database}", 1, "permission denied", "owner")


@pytest.mark.parametrize("attributes", ["", "?target_session_attrs=any"])
def test_a_standby(attributes):
    """It cannot be written, and is not read either, for it may lag."""
    with Postgres() as server:
        database = server.create()
        url = f"postgresql://postgres:{SECRET}@127.0.0.1:{server.port}/{database}"
        open_store(url).close()
        server.stop()
        (server._data / "standby.signal").touch()
        server.start()
        refused(url + attributes, 1, "standby" if attributes else "read-only", "primary")


def test_without_the_driver(monkeypatch):
    """One line that says what to install."""
    for name in [name for name in sys.modules if name.startswith("oncekv.server.engine.storage.postgresql")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(UsageError, match=r"pip install 'oncekv\[postgresql\]'"):
        check_url("postgresql://u@host/db")


def test_no_credentials_anywhere(own_postgres, database, serve):
    """Not in the log, `server.info`, the metrics or an error, while all goes well and while the database is away."""
    node = serve(f"postgresql://postgres:{SECRET}@127.0.0.1:{own_postgres.port}/{database}")
    node.kv.ok("kv.put", key="k", value="x")
    shown = [node.kv.call("server.info"), node.kv.fetch("GET", "/metrics").body]
    own_postgres.stop()
    try:
        shown += [node.kv.call("kv.put", key="k", value="x"), node.kv.call("kv.get", key="k")]
        shown += [node.kv.fetch("GET", "/readyz").body, node.kv.call("rpc.discover")]
    finally:
        own_postgres.start()
    assert node.server.stop() == 0
    text = f"{shown} {node.server.log_tail(100_000)} {node.server.stdout!r}"
    assert "writes are refused" in text
    assert SECRET not in text


def test_what_the_database_says_is_shown_without_the_password():
    """Were it to repeat it, and on one line."""
    said = f"no such thing\n\tas {SECRET}"
    assert scrub(said, connection_string(f"u:{SECRET}@host/db")) == "no such thing as ***"
    assert scrub(said, connection_string("u@host/db")) == f"no such thing as {SECRET}"


def test_what_is_raised_at_the_start_is_one_line():
    """Whatever the driver says of several hosts."""
    with pytest.raises(StartupError) as caught:
        open_store(f"postgresql://u:{SECRET}@127.0.0.1:1,127.0.0.1:2/db")
    assert "\n" not in str(caught.value)
    assert SECRET not in str(caught.value)
