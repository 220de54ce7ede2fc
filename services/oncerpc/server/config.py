"""What can be set of the promise itself, whoever serves it: leases, bounds, deliveries."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["MIB", "Config"]

MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Config:
    """Times in milliseconds, sizes in bytes, bounds inclusive."""

    delivery: str = "persisted"
    tokens: frozenset[bytes] = field(default=frozenset(), repr=False)
    """SHA-256 digests of the accepted bearer tokens; empty means that no token is asked for."""
    failpoints: bool = False
    log_calls: bool = False
    """Whether the log has a line for every attempt."""
    lease_ms: int = 10 * 60 * 1000
    lease_max_ms: int = 24 * 60 * 60 * 1000
    sessions_max: int | None = 1_000_000
    """None: as many as the store takes."""
    queue_max: int = 1024
    queue_bytes_max: int = 256 * MIB
    group_max: int = 256
    batch_max: int = 10_000
    body_bytes_max: int = 4 * MIB
    batch_reply_bytes_max: int = 64 * MIB
    call_watch_ms: int = 30_000
    """A call that is stuck for longer makes the watchdog dump the stacks of all threads. No option sets it."""
