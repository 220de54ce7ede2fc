"""A server answers reads from a cache of its own. "Keep the rows that were read, and drop them when they are written:
one store, one server, one cache." It looks right, for with one server no read is ever old.

It breaks linearizability with the second server: what that one has changed the first one's cache does not hear of.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from oncekv.server.engine.storage.base import Changes, Row
from oncekv.server.engine.storage.postgresql_queries import PostgresqlView
from oncekv.server.engine.storage.postgresql_writer import PostgresqlWriter
from tests.bugs.base import Bug, replaced

real_row, real_apply = PostgresqlView.row, PostgresqlWriter.apply


@contextlib.contextmanager
def plant() -> Iterator[None]:
    """Rows by their keys, in this process."""
    cache: dict[str, Row | None] = {}

    def row(self: PostgresqlView, key: str) -> Row | None:
        if isinstance(self, PostgresqlWriter):
            return real_row(self, key)
        if key not in cache:
            cache[key] = real_row(self, key)
        return cache[key]

    def apply(self: PostgresqlWriter, changes: Changes) -> None:
        for key in changes.rows:
            cache.pop(key, None)
        real_apply(self, changes)

    with replaced(PostgresqlView, row=row), replaced(PostgresqlWriter, apply=apply):
        yield


BUG = Bug(
    number=35,
    name="cache-of-its-own",
    side="server",
    breaks="a read sees what was answered before it began, at whichever server",
    caught_by=(("store-reply-lost", "at-most-once"),),
    plant=plant,
    store="postgres",
)
