"""One round of load on one server: the plan that wrk's threads read, their sessions, and the run.

The plan is a Lua table in a file; each thread takes its share of the sessions from it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.load.wrk import Load, run_wrk
from bench.progress import progress

__all__ = ["KEYS", "VALUE", "Shape", "put_load"]

KEYS = 1_000
VALUE = "v" * 100
_RUNS = itertools.count(1)


@dataclass(frozen=True)
class Shape:
    """What is sent. `script` names a file in lua/; `batch` 0 is a single request, 1 a batch of one."""

    script: str = "put"
    batch: int = 0
    identity: bool = True
    keys: int = KEYS
    path: str = ""
    """Where it is sent, if the script does not say."""
    rate: float = 0.0
    """Calls a second that are sent; 0: as fast as the replies come."""


def put_load(
    url: str,
    folder: Path,
    shape: Shape,
    sessions: Sequence[str],
    *,
    connections: int,
    seconds: int,
    seq: int = 0,
    threads: int = 1,
) -> Load:
    """Load `url`. Each session has one request under way at most; `seq`: the last that was used in any of them."""
    assert len(sessions) >= connections, "a connection needs a session of its own"
    plan = folder / "plan.lua"
    run = next(_RUNS)
    plan.write_text(_plan(shape, sessions, run=run, seq=seq, threads=threads), encoding="utf-8")
    load = run_wrk(url, plan, shape.script, connections=connections, threads=threads, seconds=seconds)
    if load.faults:
        progress(
            f"  {load.faults} of {load.requests} requests went wrong at {url}: {load.sample or 'connections broke'}"
        )
    return load


def _plan(shape: Shape, sessions: Sequence[str], *, run: int, seq: int, threads: int) -> str:
    """The plan as Lua. Session names are URL-safe base64, the rest is numbers: nothing needs to be escaped."""
    names = ",".join(f'"{name}"' for name in sessions)
    return (
        f"return {{ seed = {run}, run = {run}, threads = {threads}, seq = {seq}, keys = {shape.keys},"
        f" batch = {shape.batch}, identity = {str(shape.identity).lower()}, rate = {shape.rate:.3f},"
        f' path = "{shape.path}", value = "{VALUE}", sessions = {{ {names} }} }}\n'
    )
