"""One call on its way: what was asked, how it is identified, and what its attempts have left behind so far.

Place on the way: made by `issuer` between stub (1) and retry (2), carried through every attempt. Plain data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from oncerpc.client.outcome import Attempt, Outcome
from oncerpc.client.retry.decision import AttemptHistory, CallKind, Step
from oncerpc.client.session.session import Identity
from oncerpc.client.transport.attempt_result import AttemptResult

__all__ = ["ATTEMPTS_LISTED_MAX", "PendingCall"]

ATTEMPTS_LISTED_MAX = 64
"""An outage of days under exactly-once makes any number of attempts: the first and the last ones are listed."""


@dataclass(slots=True)
class PendingCall:
    """`params` are JSON, encoded once. `has_meta`: they carry a `_meta` of the caller's own, which goes as it is.

    `is_noted`: its identity is on an open session, and an outbox that keeps it knows the session's name. `headers` go
    with each attempt of a call that is sent alone; `entry_id` is its place in the outbox.
    """

    method: str
    params: bytes
    kind: CallKind
    identity: Identity | None = None
    is_noted: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    history: AttemptHistory = field(default_factory=AttemptHistory)
    attempts: list[Attempt] = field(default_factory=list)
    outcome: Outcome | None = None
    needs_reissue: bool = False
    entry_id: int | None = None
    has_meta: bool = False

    @property
    def is_waiting(self) -> bool:
        """Whether another attempt is due."""
        return self.outcome is None and not self.needs_reissue

    def begin_again(self, kind: CallKind) -> None:
        """It was refused as what it was taken for, and is asked as another kind; its attempts stay listed."""
        self.kind, self.outcome, self.history = kind, None, AttemptHistory()
        self.identity, self.is_noted, self.entry_id = None, False, None

    def note(self, attempt: Attempt, result: AttemptResult) -> None:
        """The attempt belongs to the history now."""
        self.history = self.history.after(result)
        if len(self.attempts) >= ATTEMPTS_LISTED_MAX:
            del self.attempts[ATTEMPTS_LISTED_MAX // 2]
        self.attempts.append(attempt)

    def settle(self, verdict: Outcome | Step) -> None:
        """Takes the verdict; `AGAIN` leaves the call waiting."""
        if isinstance(verdict, Step):
            self.needs_reissue = verdict is Step.REISSUE
        else:
            self.outcome = replace(verdict, attempts=tuple(self.attempts))

    @property
    def next_number(self) -> int:
        """The number of its next attempt, from 1."""
        return self.attempts[-1].number + 1 if self.attempts else 1
