"""Everything that can be set of a key/value server, read once at the edge and frozen."""

from __future__ import annotations

from dataclasses import dataclass, field

from oncerpc.server import config

__all__ = ["Config", "StartupError", "UsageError"]


class StartupError(Exception):
    """The server cannot start. The message is one line: the cause, and the way out."""


class UsageError(StartupError):
    """The command line cannot be understood. The message shows nothing of it that may be secret."""


@dataclass(frozen=True, kw_only=True)
class Config(config.Config):
    """How one server runs."""

    store_url: str = field(repr=False)
    """May hold a password: it is never shown."""
    host: str = "127.0.0.1"
    port: int = 0
    workers: int = 1
    model: str = "event-loop"
    writer: str = "thread"
    """Where one worker's committer runs, as the command line decides; that of several is a process in any case."""
