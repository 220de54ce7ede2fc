"""Records are found by `seq` alone. "SELECT … FROM record WHERE seq = ?": a forgotten half of the key. It looks right,
and is, in every test with one client.

It breaks rule 7: two clients both have a call number 5. The one that comes second finds the other's record, is refused
as identity_reused and never runs; with the same payload it would be told ok, and not run either.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from oncekv.server.engine.storage.base import Record, Session, unpack
from oncekv.server.engine.storage.sqlite_checksums import unsealed
from oncekv.server.engine.storage.sqlite_queries import SqliteView
from oncekv.server.engine.storage.staged import Group
from tests.bugs.base import Bug, replaced


def record(self: Group, session: Session, seq: int) -> Record | None:
    """The first record with this seq, staged or stored."""
    for _, staged_seq, _, answer in self._changes.records.values():
        if staged_seq == seq:
            return unpack(answer)
    assert isinstance(self._writer, SqliteView)
    for row in self._writer._execute("SELECT place, seq, acked, answer FROM record WHERE seq = ?", (seq,)):
        return unsealed(*row)
    return None


def plant() -> AbstractContextManager[None]:
    """Half of the key."""
    return replaced(Group, record=record)


BUG = Bug(
    number=12,
    name="records-by-seq-alone",
    side="server",
    breaks="what one client sends can neither read nor disturb another's records",
    caught_by=(("lost-reply", "at-most-once"),),
    plant=plant,
)
