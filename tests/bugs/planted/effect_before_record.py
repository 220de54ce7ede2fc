"""The effect is committed before the record, in a transaction of its own. "Dedup records are bookkeeping; the data must
be safe first, and a record of something that did not happen would be worse." It looks right, for nothing is ever lost.

It breaks rule 1: a crash between the two leaves an effect that nobody remembers, and the retry runs again.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace

from oncekv.server.engine.storage.base import Changes
from tests.bugs.base import Bug
from tests.bugs.windows import in_two_commits


def split(changes: Changes) -> tuple[Changes, Changes]:
    """Effects first, then records."""
    return Changes(rows=changes.rows), replace(changes, rows={})


def plant() -> AbstractContextManager[None]:
    """Two transactions, and `after_execute` between them: the effect is done, the record is not."""
    return in_two_commits(split)


BUG = Bug(
    number=4,
    name="effect-before-record",
    side="server",
    breaks="effect and record are there together, or neither is",
    caught_by=(("crash-after-execute", "at-most-once"),),
    plant=plant,
)
