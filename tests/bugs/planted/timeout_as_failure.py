"""The client reports a timeout as a definite failure. "The deadline has passed, so the call failed: raise an error." It
looks right, for what else is one to call it?

It breaks the promise of a definite failure, which is that nothing happened: the request may have run and its reply been
lost, and a caller who is told "failed" does it again under a new identity.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from oncerpc.client.api import issuer
from oncerpc.client.outcome import Failed, Outcome, Unreachable
from oncerpc.client.retry import retry_loop
from oncerpc.client.retry.decision import AttemptHistory, CallKind
from oncerpc.client.retry.decision import give_up as real_give_up
from tests.bugs.base import Bug, replaced


def give_up(kind: CallKind, history: AttemptHistory, reason: str) -> Outcome:
    """Out of time is failed; but the outbox goes on by itself."""
    return real_give_up(kind, history, reason) if kind.is_kept else Failed(Unreachable(reason))


@contextlib.contextmanager
def plant() -> Iterator[None]:
    """Where no further attempt is made, the call has failed."""
    with replaced(retry_loop, give_up=give_up), replaced(issuer, give_up=give_up):
        yield


BUG = Bug(
    number=15,
    name="timeout-as-failure",
    side="client",
    breaks="a definite failure means that there is no effect",
    caught_by=(("partition-past-deadline", "at-most-once"),),
    plant=plant,
)
