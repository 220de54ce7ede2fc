"""The record is committed before the effect, in a transaction of its own. "First claim the identity, so that no second
worker can take it, then do the work; if the work fails, the log tells." It looks right, for nothing can run twice.

It breaks the promise of ok: a crash between the two leaves a record of what never happened, and the retry is told ok.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace

from oncekv.server.engine.storage.base import Changes
from tests.bugs.base import Bug
from tests.bugs.windows import in_two_commits


def split(changes: Changes) -> tuple[Changes, Changes]:
    """Records first, then effects."""
    return replace(changes, rows={}), Changes(rows=changes.rows)


def plant() -> AbstractContextManager[None]:
    """Two transactions, and `after_execute` between them: the effect is computed, and not there."""
    return in_two_commits(split)


BUG = Bug(
    number=3,
    name="record-before-effect",
    side="server",
    breaks="ok means that the effect is there",
    caught_by=(("crash-after-execute", "at-most-once"),),
    plant=plant,
)
