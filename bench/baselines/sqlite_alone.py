"""SQLite alone: the same change in groups of 1, 16 and 256, in a loop, without a server in front. The limit.

One thread, its statements prepared by the sqlite3 module's cache, one fsync a group. What a server adds to this is its
cost; how far its groups carry it towards the larger ones is its merit.
"""

from __future__ import annotations

import contextlib
import random
import time
from pathlib import Path

from bench.baselines.flask_app import exactly_once_put, open_baseline
from bench.load.plan import KEYS, VALUE
from bench.load.wrk import Load, load_of

__all__ = ["changes_per_s", "one_by_one"]

SESSIONS = 32


def changes_per_s(path: Path, group: int, seconds: float) -> float:
    """Durable changes a second in groups of `group`."""
    done = 0
    # Above all that earlier rounds on the same file have used, or their records would answer.
    seq = time.monotonic_ns()
    with contextlib.closing(open_baseline(path)) as store:
        began_s = time.perf_counter()
        while (took_s := time.perf_counter() - began_s) < seconds:
            store.execute("BEGIN IMMEDIATE")
            for _ in range(group):
                seq += 1
                session = f"session-{seq % SESSIONS:014d}"  # as long as a session's name
                exactly_once_put(store, session, seq, seq - SESSIONS, f"k{random.randrange(KEYS):07d}", VALUE)
            store.execute("COMMIT")
            done += group
    return done / took_s


def one_by_one(path: Path, seconds: float) -> Load:
    """The same, a transaction for each change, with how long each took."""
    latencies_us = []
    seq = time.monotonic_ns()
    with contextlib.closing(open_baseline(path)) as store:
        began_s = time.perf_counter()
        while (from_s := time.perf_counter()) - began_s < seconds:
            seq += 1
            session = f"session-{seq % SESSIONS:014d}"
            store.execute("BEGIN IMMEDIATE")
            exactly_once_put(store, session, seq, seq - SESSIONS, f"k{random.randrange(KEYS):07d}", VALUE)
            store.execute("COMMIT")
            latencies_us.append(int((time.perf_counter() - from_s) * 1e6))
    return load_of(latencies_us, seconds)
