"""What an operator does with a store beside serving it: verify it, and back it up. One SQLite file each time."""

from __future__ import annotations

from pathlib import Path

from oncekv.server.config import UsageError
from oncekv.server.engine.storage.sqlite_files import parse_location, shown

__all__ = ["store_file"]


def store_file(url: str) -> Path:
    """The file of the SQLite store that is there. Raises UsageError."""
    scheme, separator, location = url.partition("://")
    if scheme.lower() in ("postgresql", "etcd"):
        raise UsageError(f"a store on {scheme} is verified and backed up by {scheme}'s own tools; see docs/stores.md")
    if not separator or scheme.lower() != "sqlite":
        raise UsageError("STORE is the URL of a SQLite store: sqlite:///FILE")
    path = parse_location(location)
    if not path.is_file():
        raise UsageError(f"there is no store {shown(path)}")
    return path
