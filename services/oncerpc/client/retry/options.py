"""How a client behaves: read once, when it is made, and never changed.

Place on the way: made by `connect` (1), read by retry (2). Plain data.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from oncerpc.client.retry.backoff import RetryPolicy

__all__ = ["LEASE_MAX_MS", "Options"]

LEASE_MAX_MS = 24 * 60 * 60 * 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The choices of one client.

    token: sent as `Authorization: Bearer`. session_lease_ms: None takes the server's default, or, with an outbox,
    the longest there is: the outbox's promise lasts as long as the session. sends_timeout: whether attempts say how
    long an answer is of use. stays_on_good_link: whether a call begins on the link that answered last, instead of the
    first one.
    """

    retry: RetryPolicy = field(default_factory=RetryPolicy)
    token: str | None = field(default=None, repr=False)
    session_lease_ms: int | None = None
    sends_timeout: bool = True
    stays_on_good_link: bool = True

    def __post_init__(self) -> None:
        if self.token is not None and not (self.token.isascii() and self.token.isprintable()):
            raise ValueError("the token is not printable ASCII, which is all that an HTTP header carries")
