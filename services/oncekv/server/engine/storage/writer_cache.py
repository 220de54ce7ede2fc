"""What the writer still knows of the store from its earlier groups, so that it need not ask again.

Losing it changes no answer: it is a copy of what is committed, dropped as soon as another process has written to the
store, when a group fails, and as a whole when it grows over its bound (one statement a group reads it again).
"""

from __future__ import annotations

from oncekv.server.engine.storage.base import Counters, Session, Writer

__all__ = ["WriterCache"]

SESSIONS_MAX = 4096
RECORDS_MAX = 65_536


class WriterCache:
    """Sessions by name with where their records stand, and the tally."""

    def __init__(self) -> None:
        self.sessions: dict[str, Session] = {}
        self.counters: Counters | None = None
        self._others_version: int | None = None
        self.records = 0
        """How many records the sessions have in sum, never less than there are."""

    def begin(self, writer: Writer) -> None:
        """A group begins."""
        version = writer.data_version()
        is_large = len(self.sessions) > SESSIONS_MAX or self.records > RECORDS_MAX
        if version is None or version != self._others_version or is_large:
            self.forget()
        self._others_version = version

    def forget(self) -> None:
        """Know nothing."""
        self.sessions.clear()
        self.counters = None
        self.records = 0

    def learn(self, session: Session) -> None:
        """It was read from the store, or opened."""
        self.sessions[session.name] = session
        self.records += len(session.slots.kept)
