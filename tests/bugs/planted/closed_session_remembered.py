"""A session that was closed at one server is accepted at another. "A session lives for minutes and every call asks for
it: remember those that were opened or found here." It looks right, for a client stays with its server.

It breaks rule 7 with the second server: there the session was closed and its records were forgotten, here calls go on
to run under it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from oncekv.server.engine.storage.base import Changes, Session
from oncekv.server.engine.storage.postgresql_writer import PostgresqlWriter
from tests.bugs.base import Bug, replaced

real_sessions, real_apply = PostgresqlWriter.sessions, PostgresqlWriter.apply


@contextlib.contextmanager
def plant() -> Iterator[None]:
    """Sessions by their names, in this process."""
    known: dict[str, Session] = {}

    def sessions(self: PostgresqlWriter, names: Sequence[str]) -> list[Session]:
        found = real_sessions(self, names)
        known.update((session.name, session) for session in found)
        missing = set(names) - {session.name for session in found}
        return [*found, *(known[name] for name in sorted(missing & known.keys()))]

    def apply(self: PostgresqlWriter, changes: Changes) -> None:
        for name in [name for name, session in known.items() if session.number in changes.ended]:
            del known[name]
        real_apply(self, changes)

    with replaced(PostgresqlWriter, sessions=sessions, apply=apply):
        yield


BUG = Bug(
    number=36,
    name="closed-session-remembered",
    side="server",
    breaks="no call runs under a session that was closed, at whichever server",
    caught_by=(("store-reply-lost", "at-most-once"),),
    plant=plant,
    store="postgres",
)
