"""What a view wrote before its 4xx is committed with the record. "One path for all replies: commit, then answer." It
looks right, for most views say no before they write anything.

It breaks the rule that a refusal has no effect: the caller is told 409 and the money is on the account.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from oncerpc.server.sql.executor import Executor, Work
from oncerpc.server.sql.records import SqlRecords
from oncerpc.server.sql.transaction import Transaction
from oncerpc.wire.envelope import Reply
from tests.bugs.base import Bug, replaced

real_execute = Executor._execute


def execute(self: Executor, tx: Transaction, work: Work, records: SqlRecords) -> Reply:
    """Whatever the reply says, what was written stays."""
    reply = real_execute(self, tx, work, records)
    if reply.failed and not tx.ended_by:
        records.let_go()
        tx.finish()
    return reply


def plant() -> AbstractContextManager[None]:
    """No rollback for a reply that says no."""
    return replaced(Executor, _execute=execute)


BUG = Bug(
    number=26,
    name="library-refusal-kept",
    side="library",
    breaks="a refusal has no effect: what was written before a 4xx is rolled back",
    caught_by=(("healthy", "idempotency-key"),),
    plant=plant,
)
