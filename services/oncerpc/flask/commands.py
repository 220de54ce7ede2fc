"""`flask once …`: what an operator does with the records."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
from flask import current_app
from flask.cli import AppGroup
from sqlalchemy import Table, delete, select

from oncerpc.flask.views import unpack_response
from oncerpc.server.records import StoreRefused
from oncerpc.server.sql.database import StillRunning

if TYPE_CHECKING:
    from oncerpc.flask.extension import State

__all__ = ["make_commands"]

_VIEW_REPLY = 0x93
"""The first byte of a view's recorded reply, an array of three in MessagePack; a call's is JSON."""


_scope_option = click.option("--scope", help="Whose key it is (default: every scope).")


def make_commands() -> AppGroup:
    """The commands, for the application that `flask` has loaded."""
    group = AppGroup("once", help="The dedup records of retry-safe calls.")
    for command in (init, show, forget, prune):
        group.command(command.__name__)(command)
    return group


def init() -> None:
    """Make the tables where they are missing, and no more (every start of the application does the same)."""
    click.echo(f"the tables {', '.join(sorted(_state().executor.database.tables.metadata.tables))} are there")


@click.argument("key")
@_scope_option
@click.option("--body", is_flag=True, help="Show the recorded body as well.")
def show(key: str, scope: str | None, body: bool) -> None:
    """Show the record of an Idempotency-Key: status, when, until when."""
    state = _state()
    table = state.executor.database.tables.key
    with state.store.read() as reader:
        found = reader.tx.execute(select(table).where(_chosen(table, key, scope)).order_by(table.c.scope)).all()
    if not found:
        raise _missing(key, scope)
    for row in found:
        click.echo(f"key: {row.key}\nscope: {row.scope}\nstatus: {_status(row)}")
        click.echo(f"recorded: {_time(row.created_ms)}\nexpires: {_time(row.expires_ms)}")
        if body:
            click.echo(f"body: {_body(row)}")


@click.argument("key")
@_scope_option
def forget(key: str, scope: str | None) -> None:
    """Forget an Idempotency-Key: the next request with it runs."""
    executor = _state().executor
    table = executor.database.tables.key
    with executor.untied() as (tx, _, _):
        gone = tx.execute(delete(table).where(_chosen(table, key, scope))).rowcount
        tx.finish()
    if not gone:
        raise _missing(key, scope)
    click.echo(f"forgotten: {gone}")


def prune() -> None:
    """Delete what has expired, portion by portion (also done in passing, once a minute in each process)."""
    gone = 0
    try:
        while portion := _state().pruner.portion():
            gone += portion
    except (StoreRefused, StillRunning) as error:
        raise click.ClickException(f"{gone} pruned, then: {error}") from error
    click.echo(f"pruned: {gone}")


def _state() -> State:
    state: State = current_app.extensions["oncerpc"]
    return state


def _chosen(table: Table, key: str, scope: str | None) -> Any:
    return (table.c.key == key) if scope is None else (table.c.key == key) & (table.c.scope == scope)


def _missing(key: str, scope: str | None) -> click.ClickException:
    return click.ClickException(f"no record of the key {key}" + (f" in the scope {scope}" if scope else ""))


def _status(row: Any) -> str:
    if row.reply is None:
        return "unknown: a handler has committed by the driver, and nothing came after it; `forget` makes the key free"
    if bytes(row.reply)[0] == _VIEW_REPLY:
        return str(unpack_response(bytes(row.reply)).status)
    return "error" if row.failed else "result"


def _body(row: Any) -> str:
    reply = bytes(row.reply or b"-")
    body = unpack_response(reply).get_data() if reply[0] == _VIEW_REPLY else reply
    return body.decode("utf-8", "backslashreplace")


def _time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds")
