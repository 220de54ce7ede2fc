"""The record in a second transaction. "What the handler wrote is safe first; the record is a library's bookkeeping and
has no business in the user's transaction." It looks right, for nothing that was done is ever lost.

It breaks rule 1: a process that dies between the two commits leaves an effect that nobody remembers.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from oncerpc.server.sql.executor import Executor, Work
from oncerpc.server.sql.records import SqlRecords
from oncerpc.server.sql.transaction import Transaction
from oncerpc.wire.jsonrpc import Reply
from tests.bugs.base import Bug, replaced

real_settle, real_pass = Executor._settle, Executor._pass


def settle(self: Executor, tx: Transaction, work: Work, records: SqlRecords, reply: Reply, now_ms: int) -> None:
    """Commit; then the record, in a transaction of its own. The failpoint stands between the two."""
    records.let_go()
    tx.finish()
    real_pass(self, "after_execute", work)
    second = self.database.connect()
    try:
        self.database._begin(second)
        own = self._records(second, records._token, records._times)
        own.claim(work, work.key_kept_ms)
        if self._gate.admit(own, work, now_ms) is None:
            real_settle(self, second, work, own, reply, now_ms)
    finally:
        second.undo()


def pass_failpoint(self: Executor, point: str, work: Work) -> None:
    """`after_execute` is passed in `settle`."""
    if point != "after_execute":
        real_pass(self, point, work)


@contextlib.contextmanager
def plant() -> Iterator[None]:
    """Two commits, one after the other."""
    with replaced(Executor, _settle=settle, _pass=pass_failpoint):
        yield


BUG = Bug(
    number=25,
    name="library-second-transaction",
    side="library",
    breaks="effect and record are there together, or neither is",
    caught_by=(("crash-after-execute", "at-most-once"),),
    plant=plant,
)
