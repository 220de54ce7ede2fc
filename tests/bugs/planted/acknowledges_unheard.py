"""The client acknowledges a reply that it has not got. "Call 7 goes out, so 1 to 6 were before it: `acked` is 6." It
looks right, and is, for a client that makes one call after the other.

It breaks what `acked` says: with two threads call 6 is still under way. The server forgets its record and refuses its
retry as stale, and exactly-once has to say unknown, which it never says.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from oncerpc.client.session.session import Identity
from tests.bugs.base import Bug, replaced


def meta(self: Identity) -> dict[str, Any]:
    """`params._meta` of one attempt: all before it is done."""
    return {"session": self.epoch.name, "seq": self.seq, "acked": self.seq - 1}


def plant() -> AbstractContextManager[None]:
    """A subtraction instead of the ledger."""
    return replaced(Identity, meta=meta)


BUG = Bug(
    number=16,
    name="acknowledges-unheard",
    side="client",
    breaks="acked stands for replies that the client holds",
    caught_by=(("lost-reply", "exactly-once"),),
    plant=plant,
)
