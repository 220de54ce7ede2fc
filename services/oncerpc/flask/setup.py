"""What an application has been set up with: checked at the start, in one line with the way out where it cannot be."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import click
from flask import Request
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from oncerpc.server.log import log
from oncerpc.server.records import StoreRefused
from oncerpc.server.sql.database import Database, Waits
from oncerpc.server.sql.errors import is_refused_rights, one_line
from oncerpc.server.sql.postgresql import PostgresDatabase
from oncerpc.server.sql.sqlite import SqliteDatabase
from oncerpc.server.sql.tables import SchemaUnknown, Tables

__all__ = ["Settings", "SetupError", "open_database"]

_DATABASES: dict[str, type[Database]] = {one.dialect: one for one in (PostgresDatabase, SqliteDatabase)}
_MAKERS_MAX = 5
_AUTOCOMMIT = (
    "OnceRPC: the engine is in AUTOCOMMIT, where effect and record cannot be one transaction; "
    "create it without that (isolation_level, or autocommit of the driver), or give another engine"
)


class SetupError(click.ClickException, RuntimeError):
    """The application cannot be set up so. One line: the cause, and the way out; `flask` shows no traceback."""


@dataclass(frozen=True)
class Settings:
    """The arguments of OnceRPC, as they are documented there."""

    path: str = "/rpc"
    scope: Callable[[Request], str] | None = None
    key_ttl_s: float = 86_400
    on_duplicate: Literal["wait", "refuse"] = "wait"
    wait_max_s: float = 30
    table_prefix: str = "once_"

    def __post_init__(self) -> None:
        """Raises SetupError."""
        if not self.path.startswith("/") or self.path.endswith("/"):
            raise SetupError(f'OnceRPC: path={self.path!r} must begin with a slash and not end with one, as "/rpc"')
        if self.on_duplicate not in ("wait", "refuse"):
            raise SetupError(f'OnceRPC: on_duplicate={self.on_duplicate!r} must be "wait" or "refuse"')
        if not self.key_ttl_s > 0 or not self.wait_max_s > 0:
            raise SetupError("OnceRPC: key_ttl_s and wait_max_s are seconds above 0")
        if not self.table_prefix.isidentifier():
            raise SetupError(f'OnceRPC: table_prefix={self.table_prefix!r} must be letters, digits and _, as "once_"')

    @property
    def policy_path(self) -> str:
        """Where the policy page is."""
        return f"{self.path}/policy"


def open_database(engine: Any, settings: Settings) -> tuple[Database, int]:
    """The engine's database with its tables made, and how often a process has started on it. Raises SetupError."""
    if not isinstance(engine, Engine):
        hint = "; give an AsyncEngine's .sync_engine" if hasattr(engine, "sync_engine") else ""
        raise SetupError(f"OnceRPC: engine must be a SQLAlchemy Engine, not {type(engine).__name__}{hint}")
    kind = _DATABASES.get(engine.dialect.name)
    if kind is None:
        raise SetupError(
            f"OnceRPC: the dialect {engine.dialect.name} is not supported; use one of: {', '.join(sorted(_DATABASES))}"
        )
    _check_isolation(engine)
    waits = Waits(settings.wait_max_s, refuse=settings.on_duplicate == "refuse")
    database = kind(engine, Tables(settings.table_prefix), waits)
    try:
        with engine.connect() as connection:
            if database.commits_each_statement(connection):
                raise SetupError(_AUTOCOMMIT)
        return database, _prepare(database)
    except SchemaUnknown as error:
        raise SetupError(f"OnceRPC: {error}; install that release, or set another table_prefix") from error
    except (StoreRefused, SQLAlchemyError) as error:
        raise SetupError(_why(engine, error)) from error


def _prepare(database: Database) -> int:
    """Make the tables and count the start. Another process that does the same at this moment is not an error."""
    for left in reversed(range(_MAKERS_MAX)):
        try:
            with database.exclusive() as connection:
                database.tables.make(connection)
                return database.tables.count_start(connection)
        except DBAPIError as error:
            if not left or is_refused_rights(error):
                raise
            log.info("the tables are being made by another process: %s", one_line(error))
            time.sleep(0.1)
    raise AssertionError("the last one raised")


def _check_isolation(engine: Engine) -> None:
    levels = (
        engine.get_execution_options().get("isolation_level"),
        getattr(engine.dialect, "_on_connect_isolation_level", None),
    )
    if any(isinstance(level, str) and level.upper() == "AUTOCOMMIT" for level in levels):
        raise SetupError(_AUTOCOMMIT)


def _why(engine: Engine, error: Exception) -> str:
    where = engine.url.render_as_string(hide_password=True)
    cause = error.__cause__ if isinstance(error, StoreRefused) and error.__cause__ is not None else error
    if is_refused_rights(cause):
        return (
            f"OnceRPC: the database user may not make or write the tables in {where}: {one_line(cause)}; "
            "let one who may run `flask once init`, and grant SELECT, INSERT, UPDATE and DELETE on them"
        )
    return f"OnceRPC: the database {where} cannot be used: {one_line(cause)}"
