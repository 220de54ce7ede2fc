"""The outbox begins empty. "What is left over from a crash is stale; a client that starts should start clean, and a
server forgets a session that nobody renews." It looks right: no call is ever made twice, and nothing fails.

It breaks what the outbox is for: a call whose request never arrived is never made, and no one is told.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from oncerpc.client.session.outbox import Outbox
from tests.bugs.base import Bug, replaced

real_init = Outbox.__init__


def init(self: Outbox, path: str | Path) -> None:
    """Opens the file, and empties it."""
    real_init(self, path)
    self._write(lambda run: run("DELETE FROM calls"))


def plant() -> AbstractContextManager[None]:
    """One statement more when the file is opened."""
    return replaced(Outbox, __init__=init)


BUG = Bug(
    number=20,
    name="outbox-forgets",
    side="client",
    breaks="a call that the outbox holds is finished, or its caller told that it is unknown",
    caught_by=(("client-crash", "exactly-once"),),
    plant=plant,
)
