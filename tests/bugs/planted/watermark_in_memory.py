"""The acknowledged watermark is kept in memory only. "Each call brings `acked` along, so after a restart the next call
tells us again; why write it down with every one?" It looks right, for the client that goes on does tell.

It breaks rule 2 across restarts: a late duplicate that arrives before that next call finds neither a record, for that
was dropped, nor a watermark, and runs again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from oncekv.server.delivery.persisted import Persisted
from oncekv.server.storage.base import SessionRow
from oncekv.server.storage.staged import Group
from oncekv.wire.identity import CallMeta
from tests.bugs.base import Bug, replaced


@contextlib.contextmanager
def plant() -> Iterator[None]:
    """Records go when they are acknowledged, as ever; up to where, this process alone knows."""
    watermarks: dict[int, int] = {}

    def acknowledge(self: Group, session: SessionRow, acked: int) -> SessionRow:
        watermarks[session.number] = acked
        self._changes.acked[session.number] = acked
        self._dirty = True
        return session._replace(acked=acked)

    def enter(self: Persisted, group: Group, meta: CallMeta, name: str, now_ms: int) -> SessionRow:
        session = self._sessions.live(group, name, now_ms)
        session = session._replace(acked=watermarks.get(session.number, 0))
        return group.acknowledge(session, meta.acked) if meta.acked > session.acked else session

    with replaced(Group, acknowledge=acknowledge), replaced(Persisted, _enter=enter):
        yield


BUG = Bug(
    number=6,
    name="watermark-in-memory",
    side="server",
    breaks="what was acknowledged never runs again, after a restart too",
    caught_by=(("stale-after-restart", "at-most-once"),),
    plant=plant,
)
