"""The gate's questions: may this attempt run, was it answered before, and what is to be remembered of it."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from oncerpc.server.records import Records, SessionReader
from oncerpc.wire.identity import CallMeta
from oncerpc.wire.jsonrpc import Reply

__all__ = ["KEY_KEPT_MS", "Attempt", "DedupGate", "IdempotencyKey"]

KEY_KEPT_MS = 24 * 60 * 60 * 1000


class IdempotencyKey(NamedTuple):
    """The identity of a call without a session; `scope` stands for the caller's token."""

    scope: bytes
    key: str


class Attempt(Protocol):
    """What the gate needs to know of an attempt."""

    @property
    def meta(self) -> CallMeta: ...
    @property
    def key(self) -> IdempotencyKey | None: ...
    @property
    def fingerprint(self) -> bytes: ...
    @property
    def key_kept_ms(self) -> int:
        """How long the record under its Idempotency-Key is kept."""
        ...


class DedupGate(Protocol):
    """One way to treat identities. All of it happens inside the group's transaction."""

    def admit(self, group: Records[Any], attempt: Attempt, now_ms: int) -> Reply | None:
        """None: run it. A reply: it ran before. Raises Refused: neither."""
        ...

    def record_reply(self, group: Records[Any], attempt: Attempt, reply: Reply, now_ms: int) -> None:
        """The call ran, or said no for good: remember its reply with its effect."""
        ...

    def is_plain_read(self, reader: SessionReader, meta: CallMeta, now_ms: int) -> bool:
        """Whether a read with this metadata changes no lease and no watermark: then it need not wait for the writer."""
        ...

    def transaction_ended(self, *, committed: bool) -> None:
        """The group's transaction is over: it was committed, or rolled back."""
        ...
