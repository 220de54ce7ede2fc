"""The acknowledged watermark is kept in memory only. "Each call brings `acked` along, so after a restart the next call
tells us again; why write it down with every one?" It looks right, for the client that goes on does tell.

It breaks rule 2 across restarts: a late duplicate that arrives before that next call finds neither a record, for that
was dropped, nor a watermark, and runs again.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace

from oncekv.server.engine.storage.base import Changes, Session
from oncekv.server.engine.storage.sqlite_queries import SqliteView
from tests.bugs.base import Bug, replaced

real_apply = SqliteView.apply


def apply(self: SqliteView, changes: Changes) -> None:
    """Records go when they are acknowledged, as ever; up to where, the writer alone knows."""
    records = {row_id: (row_id, seq, 0, answer) for row_id, (_, seq, _, answer) in changes.records.items()}
    real_apply(self, replace(changes, records=records, sessions=_forgetful(changes.sessions)))


def _forgetful(sessions: dict[int, Session]) -> dict[int, Session]:
    return {
        number: Session(number, it.name, it.lease_ms, it.expires_ms, 0, it.slots) for number, it in sessions.items()
    }


def plant() -> AbstractContextManager[None]:
    """Neither a session nor a record carries it to the disk."""
    return replaced(SqliteView, apply=apply)


BUG = Bug(
    number=6,
    name="watermark-in-memory",
    side="server",
    breaks="what was acknowledged never runs again, after a restart too",
    caught_by=(("stale-after-restart", "at-most-once"),),
    plant=plant,
)
