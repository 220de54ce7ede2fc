"""5. What a store that has grown still does: writes with more keys, with more sessions; ready again after SIGKILL.

Stores are filled by SQL (`prefill`). The restart is measured on the largest of all: every key, every session, a million
calls in the full run; the server is killed while load is on it, so that there is a log to recover.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

from bench.load.plan import Shape, put_load
from bench.prefill import prefill
from bench.progress import progress
from bench.report.result_set import Part
from bench.run import Run
from bench.servers import server
from chaos.runtime.local import LocalServer

__all__ = ["ALL", "KEYS", "NAME", "READY", "RESTART", "SESSIONS", "measure"]

NAME = "growth"
RESTART = "restart"
KEYS = "{:,} keys"
SESSIONS = "{:,} sessions"
ALL = "all at once"
READY = "s from SIGKILL to ready"
CONNECTIONS_KEYS = 32
CONNECTIONS_SESSIONS = 10
CALLS = "calls/s"
SEQ_STEP = 100_000  # more than a session makes in a round, so that a round need not know what the one before used


def measure(run: Run) -> None:
    """Keys, then sessions, then everything at once."""
    keys, sessions = run.effort.keys, run.effort.sessions
    part = run.part(
        Part(
            NAME,
            "5. Growth: single writes on a store that has grown",
            "calls/s",
            note=(
                f"{CONNECTIONS_KEYS} connections over all keys; {CONNECTIONS_SESSIONS} connections that use all"
                " sessions in turn. Stores filled by SQL in the store's own schema."
            ),
        )
    )
    _grow(run, part, "keys", [(KEYS.format(count), count, 0) for count in keys], CONNECTIONS_KEYS)
    _grow(run, part, "sessions", [(SESSIONS.format(count), 1_000, count) for count in sessions], CONNECTIONS_SESSIONS)
    _restart(run, keys[-1], sessions[-1])


def _grow(run: Run, part: Part, what: str, sizes: list[tuple[str, int, int]], connections: int) -> None:
    """Servers side by side, one for each size (label, keys, sessions), in turn."""
    with ExitStack() as stack:
        progress(f"filling stores for growth in {what}")
        grown = [(label, *_open(run, stack, keys, sessions or connections), keys) for label, keys, sessions in sizes]
        for number in run.rounds(run.effort.growth_rounds, f"growth in {what}"):
            for label, node, names, keys in grown:
                load = put_load(
                    node.url, node.data_dir, Shape(keys=keys), names, connections=connections,
                    seconds=run.effort.seconds, seq=(number + 1) * SEQ_STEP,
                )  # fmt: skip
                run.add(part, label, CALLS, load.per_s, load.faults)


def _open(run: Run, stack: ExitStack, keys: int, sessions: int, calls: int = 0) -> tuple[LocalServer, list[str]]:
    folder = stack.enter_context(run.folder("grown"))
    node = server(folder / "data")
    with node:
        node.stop()  # it has made the schema
    names = prefill(folder / "data" / "kv.db", keys=keys, sessions=sessions, calls=calls)
    stack.enter_context(node)
    return node, names


def _restart(run: Run, keys: int, sessions: int) -> None:
    calls = sessions * run.effort.calls_a_session
    title = f"5b. {keys:,} keys, {sessions:,} sessions and {calls:,} calls in one store"
    part = run.part(Part(RESTART, title, "s"))
    with ExitStack() as stack:
        progress(f"filling a store with {keys:,} keys, {sessions:,} sessions, {calls:,} calls")
        node, names = _open(run, stack, keys, sessions, calls)
        for number in run.rounds(run.effort.restarts, "SIGKILL and restart"):
            load = put_load(
                node.url, Path(node.data_dir), Shape(keys=keys), names, connections=CONNECTIONS_KEYS, seconds=1,
                seq=(number + 1) * SEQ_STEP,
            )  # fmt: skip
            node.kill()
            began_s = time.perf_counter()
            node.start()
            run.add(part, ALL, READY, time.perf_counter() - began_s)
            run.add(part, ALL, "calls/s before it, 32 connections", load.per_s, load.faults)
