"""Everything that can be set, read once at the edge and frozen."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["MIB", "Config", "StartupError", "UsageError"]

MIB = 1024 * 1024


class StartupError(Exception):
    """The server cannot start. The message is one line: the cause, and the way out."""


class UsageError(StartupError):
    """The command line cannot be understood. The message shows nothing of it that may be secret."""


@dataclass(frozen=True)
class Config:
    """How one server runs. Times in milliseconds, sizes in bytes, bounds inclusive."""

    store_url: str
    host: str = "127.0.0.1"
    port: int = 0
    delivery: str = "persisted"
    workers: int = 1
    model: str = "event-loop"
    writer: str = "thread"
    """Where one worker's committer runs, as the command line decides; that of several is a process in any case."""
    tokens: frozenset[bytes] = field(default=frozenset(), repr=False)
    """SHA-256 digests of the accepted bearer tokens; empty means that no token is asked for."""
    failpoints: bool = False
    lease_ms: int = 10 * 60 * 1000
    lease_max_ms: int = 24 * 60 * 60 * 1000
    sessions_max: int = 1_000_000
    queue_max: int = 1024
    queue_bytes_max: int = 256 * MIB
    group_max: int = 256
    batch_max: int = 10_000
    body_bytes_max: int = 4 * MIB
    batch_reply_bytes_max: int = 64 * MIB
    call_watch_ms: int = 30_000
    """A call that is stuck for longer makes the watchdog dump the stacks of all threads. No option sets it."""
