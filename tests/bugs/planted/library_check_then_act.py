"""Check, then act, without waiting. "A SELECT before the transaction finds every duplicate, and the transaction stays
short." It looks right, for every retry after the reply finds its record.

It breaks rule 3: a duplicate that arrives while the first still runs finds no record either, and both act. `INSERT …
ON CONFLICT DO NOTHING` then hides that there were two.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from oncerpc.server.dedup.base import Attempt
from oncerpc.server.dedup.persisted import PersistedDedup
from oncerpc.server.records import Records
from oncerpc.server.sql.executor import Executed, Executor, Work
from oncerpc.server.sql.records import SqlRecords
from oncerpc.wire.jsonrpc import Reply
from tests.bugs.base import Bug, replaced

real_admit, real_record_reply = PersistedDedup.admit, PersistedDedup.record_reply
real_run, real_pass = Executor.run, Executor._pass


def run(self: Executor, work: Work) -> Executed:
    """Look, in no transaction of anybody's; then do."""
    tx = self.database.connect()
    try:
        times = self._times(tx, work)
        records = self._records(tx, b"", times)
        now_ms = times.lease_ms if work.key is None else times.wall_ms
        assert isinstance(self._gate, PersistedDedup)
        recorded = real_admit(self._gate, records, work, now_ms)
    finally:
        tx.undo()
    if recorded is not None:
        return Executed(recorded, replayed=True)
    real_pass(self, "before_execute", work)
    return real_run(self, work)


def admit(self: PersistedDedup, group: Records[Any], attempt: Attempt, now_ms: int) -> Reply | None:
    """It was checked already."""
    if attempt.key is None and attempt.meta.session is not None:
        self._renew_and_acknowledge(group, attempt.meta, attempt.meta.session, now_ms)
    return None


def record_reply(self: PersistedDedup, group: Records[Any], attempt: Attempt, reply: Reply, now_ms: int) -> None:
    """Someone may have been faster."""
    if attempt.key is not None:
        found: object = group.keyed(*attempt.key)
    else:
        session = group.session(attempt.meta.session) if attempt.meta.session is not None else None
        found = None if session is None or attempt.meta.seq is None else group.record(session, attempt.meta.seq)
    if found is None:
        real_record_reply(self, group, attempt, reply, now_ms)


def pass_failpoint(self: Executor, point: str, work: Work) -> None:
    """`before_execute` was passed before the transaction."""
    if point != "before_execute":
        real_pass(self, point, work)


@contextlib.contextmanager
def plant() -> Iterator[None]:
    """The question is asked outside, the deed is done inside."""
    with (
        replaced(Executor, run=run, _pass=pass_failpoint),
        replaced(PersistedDedup, admit=admit, record_reply=record_reply),
        replaced(SqlRecords, is_ours=lambda _records, _attempt: True),
    ):
        yield


BUG = Bug(
    number=30,
    name="library-check-then-act",
    side="library",
    breaks="a duplicate of a running call waits for it and gets its reply",
    caught_by=(("duplicate-while-running", "at-most-once"),),
    plant=plant,
)
