"""OnceKV servers for a measurement: started by the command line, each on a store of its own, gone with the block."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

from chaos.runtime.local import LocalServer, oncekv_command

__all__ = ["models", "server"]


@cache
def models() -> tuple[str, ...]:
    """The server models that this release has; one without a name where it knows no `--model`."""
    done = subprocess.run(
        [*oncekv_command(), "serve", "--help"], capture_output=True, text=True, timeout=60, check=True
    )
    return ("threads", "event-loop") if "--model" in done.stdout else ("",)


def server(
    folder: Path,
    *,
    delivery: str = "persisted",
    workers: int = 1,
    failpoints: bool = False,
    model: str = "",
    lease_ms: int | None = None,
) -> LocalServer:
    """A server that is not started yet; a context manager that starts it. `model` "" is the release's default."""
    extra = ["--model", model] if model else []
    extra += ["--lease-ms", str(lease_ms)] if lease_ms else []
    return LocalServer(folder, delivery=delivery, workers=workers, failpoints=failpoints, extra_args=extra)
