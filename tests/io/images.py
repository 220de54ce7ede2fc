"""What is left of a store, read without the product: is it whole, which effects are in it, and which records."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["StoreImage", "copy", "look"]

SUFFIXES = ("", "-journal", "-wal")
"""Not the log's index, `-shm`: a restart finds it of no use."""
SLOTS = 1024


@dataclass
class StoreImage:
    """What stands in a store: values by key, seqs by session, Idempotency-Keys. problems: why it is not sound."""

    values: dict[str, str] = field(default_factory=dict)
    acked: dict[str, int] = field(default_factory=dict)
    seqs: dict[str, set[int]] = field(default_factory=dict)
    keyed: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)

    def count(self, token: str) -> int:
        """How often the effect that bears this token is there."""
        return sum(value.count(token) for value in self.values.values())


def copy(source: Path, target: Path, name: str = "kv.db") -> Path:
    """The store's files as they are now, in a folder of their own; the path of the copy."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for suffix in SUFFIXES:
        with contextlib.suppress(FileNotFoundError):
            shutil.copyfile(source / f"{name}{suffix}", target / f"{name}{suffix}")
    return target / name


def look(store: Path) -> StoreImage:
    """Recover a copy as a restart would, and read it; one without tables is empty."""
    image = StoreImage()
    if not store.exists():
        return image
    try:
        with _opened(store) as db:
            said = [text for (text,) in db.execute("PRAGMA integrity_check")]
            image.problems += [f"integrity_check: {text}" for text in said if text != "ok"]
            if db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
                _read(db, image)
    except sqlite3.Error as error:
        image.problems.append(f"it cannot be read: {error}")
    return image


@contextlib.contextmanager
def _opened(store: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(store)) as db:
        yield db


def _read(db: sqlite3.Connection, image: StoreImage) -> None:
    image.values = dict(db.execute("SELECT key, value FROM kv"))
    names: dict[int, str] = {}
    for number, name, acked in db.execute("SELECT number, name, acked FROM session"):
        names[number], image.acked[name], image.seqs[name] = name, acked, set()
    for place, seq, acked in db.execute("SELECT place, seq, acked FROM record"):
        session = names.get(place // SLOTS)
        if session is None:
            image.problems.append(f"record {place} is of no session")
            continue
        if seq in image.seqs[session]:
            image.problems.append(f"call {seq} of a session has two records")
        image.seqs[session].add(seq)
        image.acked[session] = max(image.acked[session], acked)
    image.keyed = {key for (key,) in db.execute("SELECT key FROM keyed")}
    counted = db.execute("SELECT sessions, records FROM tally").fetchall()
    there = (len(names), sum(map(len, image.seqs.values())))
    if counted != [there]:
        image.problems.append(f"the tally says {counted}, there are {there}")
