"""The files of a SQLite store (step 10): how a URL names a path, and whether it still names the files that are open.

A file that is removed or replaced stays open, and takes commits that nobody will find again. So its place is looked at
before and after each: three `stat`, some microseconds beside a sync of the disk.

Limit: who takes a file away and puts it back between two looks goes unnoticed, and loses nothing either. A log that is
removed is missed until the server starts again; one that is told to end (SIGTERM) still writes back what it held.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote

from oncekv.server.config import UsageError
from oncekv.server.engine.storage.base import StoreRefused

__all__ = ["StoreFiles", "check_rights", "make_file", "make_folder", "parse_location", "shown", "unmake"]

FORM = "a SQLite store is given as sqlite:///FILE (sqlite:////abs/olute/FILE)"
SUFFIXES = ("", "-journal", "-wal", "-shm")
_ESCAPED_BADLY = re.compile(r"%(?![0-9A-Fa-f]{2})")


def parse_location(location: str) -> Path:
    """The file that stands behind `sqlite://`: a slash and its path, percent-encoded. Raises UsageError."""
    if not location.startswith("/"):
        raise UsageError(f"{FORM}, without a host")
    if "?" in location or "#" in location or _ESCAPED_BADLY.search(location):
        raise UsageError(f"{FORM}; in its name %, ? and # are written %25, %3F and %23")
    text = unquote(location[1:], errors="surrogateescape")
    if not text or "\0" in text or text.endswith("/") or Path(text).name in ("", "..", ":memory:"):
        raise UsageError(f"{FORM}, and {shown(Path(text))!r} names no file")
    return Path(text).absolute()


def shown(path: Path) -> str:
    """The path on one line."""
    text = str(path)
    return text if text.isprintable() else ascii(text)


def make_folder(folder: Path) -> list[Path]:
    """The folders that had to be made, innermost first. Raises OSError, and leaves none behind then."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        unmake(None, missing)
        raise
    return missing


def make_file(path: Path) -> bool:
    """Make the file, or what a link there leads to, empty, if it is not there; whether it was made."""
    try:
        os.close(os.open(os.path.realpath(path), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644))
    except FileExistsError:
        return False
    return True


def check_rights(path: Path) -> None:
    """Raises PermissionError when this user may not write the store, or beside it: SQLite would find out too late, when
    it has made files that it cannot remove.
    """
    beside = os.path.realpath(path)
    for place in (os.path.dirname(beside), *(f"{beside}{suffix}" for suffix in SUFFIXES)):
        if not os.path.lexists(place) or os.access(place, os.R_OK | os.W_OK):
            continue
        if os.path.lexists(place):  # else whoever closed the store last has just removed its log
            raise PermissionError(errno.EACCES, f"{shown(Path(place))} may not be written")


def unmake(path: Path | None, folders: list[Path]) -> None:
    """Leave nothing half-made behind: the file that was not there before, and the folders made for it."""
    beside = os.path.realpath(path) if path else ""
    for suffix in SUFFIXES if path else ():
        with suppress(OSError):
            os.unlink(f"{beside}{suffix}")
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


class StoreFiles:
    """The store's file, its log and the log's index, as a connection to `path` has opened them and still holds them."""

    def __init__(self, path: Path) -> None:
        """Raises StoreRefused when one of them is not there."""
        beside = os.path.realpath(path)  # SQLite puts them beside the file, not beside a link to it
        self._paths = (str(path), f"{beside}-wal", f"{beside}-shm")
        self._opened = [_identity(path) for path in self._paths]

    def check(self) -> None:
        """Raises StoreRefused when their places are empty, or taken by other files."""
        self._compare(self._paths)

    def check_store(self) -> None:
        """The same for the store's file alone."""
        self._compare(self._paths[:1])

    def _compare(self, paths: Sequence[str]) -> None:
        for path, opened in zip(paths, self._opened, strict=False):
            if _identity(path) != opened:
                raise StoreRefused(f"the store's file {shown(Path(path))} was replaced; put it back, or start anew")


def _identity(path: str) -> tuple[int, int]:
    """What tells the file from every other one, for as long as it is open. Raises StoreRefused when there is none."""
    try:
        status = os.stat(path)
    except OSError as error:
        text = f"the store's file {shown(Path(path))} is not there ({error.strerror}); put it back, or start anew"
        raise StoreRefused(text) from None
    return status.st_dev, status.st_ino
