"""What was acknowledged is not refused. "No record means that the call is new; the watermark is for deleting records."
It looks right, for a client does not send again what it has the reply of.

It breaks rule 5: a late copy of an acknowledged call finds no record, and runs. The gate is one for the store and for
the library, so this is planted in either.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from oncerpc.server.dedup import persisted
from oncerpc.wire.errors import WindowExceeded
from oncerpc.wire.identity import WINDOW
from tests.bugs.base import Bug, replaced


def check_seq(seq: int, acked: int) -> None:
    """Only the window."""
    if seq > acked + WINDOW:
        raise WindowExceeded(acked=acked, window=WINDOW)


def plant() -> AbstractContextManager[None]:
    """The gate looks for records alone."""
    return replaced(persisted, check_seq=check_seq)


BUG = Bug(
    number=23,
    name="stale-accepted",
    side="server",
    breaks="what was acknowledged never runs again",
    caught_by=(("late-after-ack", "at-most-once"),),
    plant=plant,
)
