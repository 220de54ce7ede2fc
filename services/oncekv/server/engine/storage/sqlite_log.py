"""Whether SQLite's write-ahead log (step 10) is whole: SQLite takes it up to the first frame that makes no sense.

That is right after a power failure, which tears the last transaction; it is wrong when a disk has lost a bit of an
older one, for all that was committed behind it is then gone. Each frame carries the checksum of all before it, so a run
of frames behind the bad one in which each continues the one before was written by transactions that saw each other
committed: two of them prove that the log was longer.

Limit: damage in the last transaction cannot be told from one that was never synced.
The format: https://www.sqlite.org/fileformat2.html#the_write_ahead_log
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

__all__ = ["has_log", "log_damage"]

HEADER_BYTES = 32
FRAME_HEADER_BYTES = 24
MAGIC = 0x377F0682  # plus 1 where words are summed big-endian
_32_BITS = 0xFFFFFFFF
_HEADER = struct.Struct(">8I")
_FRAME = struct.Struct(">6I")
_INDEX_FRAMES = struct.Struct("=I")
INDEX_FRAMES_AT = 16  # mxFrame, in the first copy of the index's header


class _Frame(NamedTuple):
    is_commit: bool
    told: tuple[int, int]
    """The checksum that it carries."""
    body: bytes


def has_log(store: Path) -> bool:
    """Whether there is a log with anything in it."""
    try:
        return Path(f"{store}-wal").stat().st_size > 0
    except OSError:
        return False


def log_damage(store: Path) -> str:
    """What is wrong with the store's log; empty when nothing is, or nobody can tell. It looks twice before it says so.

    The log's index, which a connection to the store keeps open meanwhile, says where SQLite's own view of it ends.
    """
    return _look(store) and _look(store)


def _look(store: Path) -> str:
    try:
        with open(f"{store}-wal", "rb") as log, open(f"{store}-shm", "rb") as index:
            header = log.read(HEADER_BYTES)
            index.seek(INDEX_FRAMES_AT)
            known = _INDEX_FRAMES.unpack(index.read(4))[0]
            return _damage(log.read(), header, known)
    except (OSError, struct.error):
        return ""  # there is none, or it holds no frame


def _damage(frames: bytes, header: bytes, known: int) -> str:
    magic, _version, page_bytes, _count, *salts, told_0, told_1 = _HEADER.unpack(header)
    if not frames:
        return ""
    if magic & ~1 != MAGIC or _sum(header[:24], (0, 0), magic) != (told_0, told_1):
        return "the header of its log is damaged, so nobody knows what the log held"
    commits = best = 0
    last = (known - 1) * (FRAME_HEADER_BYTES + page_bytes)
    before: tuple[int, int] | None = _FRAME.unpack_from(frames, last)[4:] if known else (told_0, told_1)
    for number, frame in enumerate(_behind(frames, page_bytes, tuple(salts), known)):
        if frame is None:
            commits, before = 0, None
            continue
        if before is None or _sum(frame.body, before, magic) != frame.told:
            commits = 0
        elif number == 0:
            return ""  # the log has only grown meanwhile
        commits += frame.is_commit
        best, before = max(best, commits), frame.told
    if best < 2:
        return ""
    return f"its log is damaged at frame {known + 1}: {best} transactions stand behind it that were committed"


def _behind(frames: bytes, page_bytes: int, salts: tuple[int, ...], known: int) -> Iterator[_Frame | None]:
    """The frames behind the last one that SQLite knows; None for one of an older log."""
    size = FRAME_HEADER_BYTES + page_bytes
    for at in range(known * size, len(frames) - size + 1, size):
        _page, pages, salt_1, salt_2, *told = _FRAME.unpack_from(frames, at)
        if (salt_1, salt_2) != salts:
            yield None
        else:
            body = frames[at : at + 8] + frames[at + FRAME_HEADER_BYTES : at + size]
            yield _Frame(pages != 0, (told[0], told[1]), body)


def _sum(data: bytes, start: tuple[int, int], magic: int) -> tuple[int, int]:
    """SQLite's checksum of the log, continued from `start`."""
    first, second = start
    words = struct.unpack(f"{'>' if magic & 1 else '<'}{len(data) // 4}I", data)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & _32_BITS
        second = (second + odd + first) & _32_BITS
    return first, second
