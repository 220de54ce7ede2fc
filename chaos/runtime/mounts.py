"""Files and folders of ours in a container, as Compose's long form writes them."""

from __future__ import annotations

from pathlib import Path

__all__ = ["mount_of"]


def mount_of(source: Path, target: str, *, read_only: bool = False) -> dict[str, str | bool]:
    """Whatever the name of `source`: the short form has colons of its own, and Compose takes `$` for a variable."""
    return {"type": "bind", "source": str(source).replace("$", "$$"), "target": target, "read_only": read_only}
