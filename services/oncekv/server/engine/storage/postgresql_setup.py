"""The tables of a PostgreSQL store (step 10): made in an empty database, brought up to date, or refused; never a half.

All of it is one transaction. Servers may start at once on an empty database: the one that comes second is refused by
the first one's tables, looks again, and finds them.
"""

from __future__ import annotations

import time
from importlib import resources
from typing import Any

import psycopg

from oncekv.server.config import StartupError
from oncekv.server.engine.storage.base import StoreRefused
from oncekv.server.engine.storage.postgresql_connection import Link
from oncekv.server.engine.storage.postgresql_errors import explain

__all__ = ["MIGRATION_TABLE", "SCHEMA_VERSION", "make_tables", "prepare"]

SCHEMA_VERSION = 1
MIGRATION_TABLE = "oncekv_migration"
"""Is there until `oncekv migrate` has come to its end."""
MIGRATIONS: dict[int, str] = {}
"""From which version, by which script of this folder; each leads to the next."""
TRIES_MAX = 20
TRY_PAUSE_S = 0.1
SETUP_MAX_S = 30.0
_FOUND = "SELECT count(*) FROM information_schema.tables WHERE table_schema = current_schema() AND table_name = %s"
# Another server makes the same tables at this moment.
_RACES = ("23505", "40001", "40P01", "42P07", "42710", "55P03", "XX000")


def prepare(link: Link) -> None:
    """See that the tables are there and of this release. Raises StartupError."""
    for left in reversed(range(TRIES_MAX)):
        try:
            with link.within(SETUP_MAX_S), link.connection.transaction():
                _prepare(link)
            return
        except psycopg.Error as error:
            if error.sqlstate in _RACES and left and not link.is_lost:
                time.sleep(TRY_PAUSE_S)
                continue
            raise StartupError(f"cannot prepare the store: {_why(error, link)}") from None
        except StoreRefused as error:
            raise StartupError(str(error)) from None


def _why(error: psycopg.Error, link: Link) -> str:
    reason = link.reason(error)
    if error.sqlstate in ("42P07", "42710"):
        return f"{reason}: the database holds something of another program's by that name; name another database"
    if error.sqlstate == "42501":
        return f"{reason}; let its user make tables there, or its owner start a server once"
    return explain(error, reason)


def _prepare(link: Link) -> None:
    run = link.connection.execute
    version = 0
    if _has(link, "oncekv_schema"):
        ((version,),) = run("SELECT version FROM oncekv_schema").fetchall()
    if version and _has(link, MIGRATION_TABLE):
        raise StartupError("a move into this database is not over; run the same `oncekv migrate` again")
    if version == SCHEMA_VERSION:
        return
    if version > SCHEMA_VERSION:
        raise StartupError(
            f"the database has schema {version} of OnceKV, this release knows {SCHEMA_VERSION}; use the newer release"
        )
    if version == 0:
        make_tables(link.connection)
        return
    ((version,),) = run("SELECT version FROM oncekv_schema FOR UPDATE").fetchall()
    while version < SCHEMA_VERSION:  # another server may have done it while this one waited
        if version not in MIGRATIONS:
            raise StartupError(
                f"no release of OnceKV has made schema {version}, which the database has; name another one"
            )
        run(_script(MIGRATIONS[version]))
        version += 1
        run("UPDATE oncekv_schema SET version = %s", (version,))


def make_tables(connection: psycopg.Connection[tuple[Any, ...]]) -> None:
    """In an empty database, within the transaction that is open."""
    run = connection.execute
    run("CREATE TABLE oncekv_schema (one bigint PRIMARY KEY CHECK (one = 1), version bigint NOT NULL)")
    run(_script("postgresql_schema.sql"))
    run("INSERT INTO oncekv_schema VALUES (1, %s)", (SCHEMA_VERSION,))


def _has(link: Link, table: str) -> bool:
    ((found,),) = link.connection.execute(_FOUND, (table,)).fetchall()
    return bool(found)


def _script(name: str) -> bytes:
    return resources.files(__package__).joinpath(name).read_bytes()
