"""OnceKV servers for a measurement: started by the command line, each on a store of its own, gone with the block."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from chaos.runtime.local import LocalServer

__all__ = ["DEFAULT", "MODELS", "server"]

MODELS = ("threads", "event-loop")
DEFAULT: Sequence[str] = ()
"""As a server starts; the writes' own part shows the other ways beside it."""


def server(
    folder: Path,
    *,
    how: Sequence[str] = DEFAULT,
    delivery: str = "persisted",
    workers: int = 1,
    failpoints: bool = False,
    lease_ms: int | None = None,
) -> LocalServer:
    """A server that is not started yet; a context manager that starts it. `how`: more words of its command line."""
    extra = [*how, *(["--lease-ms", str(lease_ms)] if lease_ms else [])]
    return LocalServer(folder, delivery=delivery, workers=workers, failpoints=failpoints, extra_args=extra)
