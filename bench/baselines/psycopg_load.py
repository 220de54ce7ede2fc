"""`python -m bench.baselines.psycopg_load URL RUN CONNECTIONS PROCESSES SECONDS`: the write by psycopg, for a while.

Prints one line of JSON, as wrk's script does.
"""

from __future__ import annotations

import multiprocessing
import random
import sys
import threading
import time

import msgspec
import psycopg

from bench.baselines.postgresql_alone import FIND, FORGET, PUT, RECORD
from bench.load.plan import KEYS, VALUE
from bench.load.wrk import load_of

_FIND, _PUT, _RECORD, _FORGET = (sql.format(*["%s"] * sql.count("{}")).encode() for sql in (FIND, PUT, RECORD, FORGET))


def main(url: str, run: str, connections: str, processes: str, seconds: str) -> None:
    """Share the connections among the processes; all of them begin when each is connected."""
    share = int(connections) // int(processes)
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(int(processes))
    with context.Pool(int(processes), _take, (start,)) as pool:
        work = [(url, int(run) * 1000 + n * share, share, float(seconds)) for n in range(int(processes))]
        found = pool.starmap(_process, work, chunksize=1)
    latencies_us = [latency for some in found for latency in some]
    sys.stdout.write(msgspec.json.encode(load_of(latencies_us, float(seconds))).decode() + "\n")


def _take(start: object) -> None:
    globals()["_start"] = start


def _process(url: str, session: int, share: int, seconds: float) -> list[int]:
    connections = [psycopg.connect(url, prepare_threshold=1) for _ in range(share)]
    latencies_us: list[int] = []
    globals()["_start"].wait()
    until_s = time.monotonic() + seconds
    threads = [
        threading.Thread(target=_client, args=(connection, session + n, until_s, latencies_us))
        for n, connection in enumerate(connections)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return latencies_us


def _client(connection: psycopg.Connection[tuple[int]], session: int, until_s: float, latencies_us: list[int]) -> None:
    """One call after the other; each is committed before the next begins."""
    seq = 0
    while (began_s := time.monotonic()) < until_s:
        seq += 1
        with connection.transaction():
            if not connection.execute(_FIND, (session, seq)).fetchall():
                ((version,),) = connection.execute(_PUT, (f"k{random.randrange(KEYS)}", VALUE)).fetchall()
                connection.execute(_RECORD, (session, seq, version))
                connection.execute(_FORGET, (session, seq))
        latencies_us.append(int((time.monotonic() - began_s) * 1e6))


if __name__ == "__main__":
    main(*sys.argv[1:])
