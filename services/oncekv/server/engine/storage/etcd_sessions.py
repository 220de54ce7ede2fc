"""How a group's sessions and records become operations (step 10): one put for every session that it touched.

A session's records stand in its own key while they are small: a client that makes one call after the other has one
there, and one put carries the new record, the watermark, and what is forgotten. A large answer, or one that finds the
session full, gets a key of its own beside it, which lives and dies with the session's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from oncekv.server.engine.storage import etcd_api as api
from oncekv.server.engine.storage.base import Changes, Session
from oncekv.server.engine.storage.etcd_layout import Layout, SessionDocument, pack_document
from oncekv.server.engine.storage.etcd_sweep import Sweep
from oncekv.server.engine.storage.etcd_view import Stored
from oncekv.server.engine.storage.record_slots import SLOTS

__all__ = ["session_ops"]

ANSWER_BYTES_MAX = 1024
DOCUMENT_BYTES_MAX = 8 * 1024
"""Of answers in one session's key."""


def session_ops(
    changes: Changes, stored: Mapping[int, Stored], sweep: Sweep, layout: Layout, clock_lag_max_ms: int
) -> Iterator[api.Op]:
    """The operations for all sessions that a group has opened, changed or ended, or that its sweep has put off.

    `clock_lag_max_ms`: how much longer a lease is that was given here, for those whose clock is ahead of this server's.
    """
    touched: dict[int, Session] = changes.opened | changes.sessions
    for row_id in (*changes.records, *changes.forgotten):
        number = row_id // SLOTS
        if number not in touched and number in stored:
            touched[number] = stored[number].session
    touched |= {number: stored[number].session for number in sweep.put_off}
    for number, session in touched.items():
        if number not in changes.ended:
            put = _SessionPut(session, stored.get(number), changes, layout, clock_lag_max_ms)
            yield from put.ops(sweep.put_off.get(number))
    for number in changes.ended:
        if number in stored:
            yield from _ended(stored[number], sweep, layout)


def _ended(stored: Stored, sweep: Sweep, layout: Layout) -> Iterator[api.Op]:
    name, document = stored.session.name, stored.document
    yield api.delete(layout.session(name))
    due = layout.due(document.due_ms, name)
    if not sweep.takes(due):
        yield api.delete(due)
    if not all(document.answers.values()):
        records = layout.records(name)
        yield api.delete_range(records, api.prefix_end(records))


class _SessionPut:
    """One session's new document, and the keys beside it."""

    def __init__(
        self, session: Session, stored: Stored | None, changes: Changes, layout: Layout, clock_lag_max_ms: int
    ) -> None:
        self._session = session
        self._before = stored.document if stored else None
        self._changes = changes
        self._layout = layout
        is_renewed = stored is None or stored.document.expires_ms != session.expires_ms
        self._expires_ms = session.expires_ms + clock_lag_max_ms * is_renewed

    def ops(self, put_off_ms: int | None) -> Iterator[api.Op]:
        """`put_off_ms`: where its entry in `due` is to stand, if that is to move."""
        session, name = self._session, self._session.name
        beside: dict[int, bytes] = {}
        answers = self._answers(beside)
        due_ms = put_off_ms or (self._before.due_ms if self._before else self._expires_ms)
        if self._before is None or put_off_ms:
            yield api.put(self._layout.due(due_ms, name), b"")
        document = SessionDocument(session.lease_ms, self._expires_ms, session.acked, due_ms, answers)
        yield api.put(self._layout.session(name), pack_document(document))
        for seq, answer in beside.items():
            yield api.put(self._layout.record(name, seq), answer)
        kept = answers.keys()
        if self._before and any(not answer and seq not in kept for seq, answer in self._before.answers.items()):
            yield api.delete_range(self._layout.record(name, 0), self._layout.record(name, session.acked + 1))

    def _answers(self, beside: dict[int, bytes]) -> dict[int, bytes]:
        """The session's records; those that are too large for its document go to `beside`."""
        answers = {}
        size = 0
        for seq, slot in self._session.slots.kept.items():
            row = self._changes.records.get(self._session.row_id(slot))
            if row is None:
                assert self._before is not None, "a record that is not of this group was read from the store"
                answer = self._before.answers[seq]
            else:
                answer = row[-1]
                if len(answer) > ANSWER_BYTES_MAX or size + len(answer) > DOCUMENT_BYTES_MAX:
                    beside[seq], answer = answer, b""
            answers[seq] = answer
            size += len(answer)
        return answers
