"""What a client may promise about one call, and which calls need no promise because repeating them is
harmless.

    semantics       attempts                          identity   ok / definite failure / unknown mean, in effects
    maybe           one                               no         once / none / 0 or 1
    at-least-once   until a reply or the deadline     no         1 or more / none from this attempt / 0 or more
    at-most-once    until a reply or the deadline     yes        once / none / 0 or 1
    exactly-once    until a reply, over outages and   yes        once / none / never reported while the outbox lives
                    the client's own restart                     (and the server keeps the session)

Place on the way: chosen at the stub (1), obeyed by `decision` (2). Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from oncerpc.wire.reads import READS

__all__ = ["Semantics", "is_harmless"]

_ADMINISTRATION = ("server.", "rpc.", "session.", "debug.")


class Semantics(StrEnum):
    """The four of docs/protocol.md, "Semantics"; a plain string of the same spelling is accepted wherever one is
    asked for.
    """

    MAYBE = "maybe"
    AT_LEAST_ONCE = "at-least-once"
    AT_MOST_ONCE = "at-most-once"
    EXACTLY_ONCE = "exactly-once"

    @property
    def identifies(self) -> bool:
        """Whether a write carries an identity, the same on each of its attempts."""
        return self in (Semantics.AT_MOST_ONCE, Semantics.EXACTLY_ONCE)


def is_harmless(method: str, params: Mapping[str, Any]) -> bool:
    """Whether running the call again changes nothing: it then needs no identity, and a lost one is just asked again.

    A method that this client does not know counts as a write: an identity too many costs little, one too few an effect.
    (A service refuses an identity on what it does not record, and says so: the client then knows it for a read.)
    """
    reads = READS.get(method)
    return method.startswith(_ADMINISTRATION) if reads is None else reads(params)
