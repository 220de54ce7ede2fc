"""`python -m bench.load.python_client URL bare|stub|batch THREADS SECONDS`: load by Python threads; prints calls a second.

Threads begin together, and only calls that were answered before the end count.
"""

from __future__ import annotations

import itertools
import json
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack

import requests

from bench.load.plan import KEYS, VALUE
from bench.load.rpc import Rpc
from oncekv.client import connect

BATCH = 100

Work = Callable[[int], int]
"""One turn of one thread, by its number; how many calls it made."""


def main(url: str, way: str, threads: int, seconds: float) -> None:
    """Print the figure as JSON."""
    with ExitStack() as stack:
        work = {"bare": _bare, "stub": _stub, "batch": _batch}[way](stack, url, threads)
        print(json.dumps({"per_s": _per_s(work, threads, seconds)}))


def _per_s(work: Work, threads: int, seconds: float) -> float:
    counts = [0] * threads
    together = threading.Barrier(threads + 1)
    end_s = [0.0]

    def loop(number: int) -> None:
        work(number)  # connects, opens the session; not counted
        together.wait()
        while time.perf_counter() < end_s[0]:
            counts[number] += work(number)

    workers = [threading.Thread(target=loop, args=(number,), daemon=True) for number in range(threads)]
    for worker in workers:
        worker.start()
    began_s = time.perf_counter()
    end_s[0] = began_s + 3600  # nobody ends before the barrier has set the real one
    together.wait()
    began_s = time.perf_counter()
    end_s[0] = began_s + seconds
    for worker in workers:
        worker.join()
    return sum(counts) / (time.perf_counter() - began_s)


def _stub(stack: ExitStack, url: str, _threads: int) -> Work:
    kv = stack.enter_context(connect(url))
    keys = itertools.cycle([f"k{number:07d}" for number in range(KEYS)])

    def work(_number: int) -> int:
        kv.put(next(keys), VALUE)
        return 1

    return work


def _batch(stack: ExitStack, url: str, _threads: int) -> Work:
    kv = stack.enter_context(connect(url))

    def work(_number: int) -> int:
        with kv.batch() as batch:
            later = [batch.put(f"k{n:07d}", VALUE) for n in range(BATCH)]
        return sum(1 for one in later if one.result().version)

    return work


def _bare(stack: ExitStack, url: str, threads: int) -> Work:
    with Rpc(url) as rpc:
        sessions = rpc.open_sessions(threads)
    seqs = [0] * threads
    https = [stack.enter_context(requests.Session()) for _ in range(threads)]
    for http in https:
        http.trust_env = False  # as OnceKV's client: looking for proxies costs half of a call

    def work(number: int) -> int:
        seqs[number] += 1
        meta = {"session": sessions[number], "seq": seqs[number], "acked": seqs[number] - 1}
        params = {"key": f"k{seqs[number] % KEYS:07d}", "value": VALUE, "_meta": meta}
        body = {"jsonrpc": "2.0", "id": 1, "method": "kv.put", "params": params}
        answer = https[number].post(f"{url}/rpc", json=body, timeout=10).json()
        return 1 if answer["result"]["version"] else 0

    return work


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
