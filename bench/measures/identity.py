"""4. What the promise costs: the same server, the same writes, with an identity and without, in turn.

The cost is the time that an identity adds to a call, in parts of the time of the call without one, as RIFL (SOSP 2015)
gives its own: per pair of rounds, since the machine is not equally fast all the time.
"""

from __future__ import annotations

from contextlib import ExitStack

from bench.book import Part
from bench.load import Shape, put_load
from bench.rpc import Rpc
from bench.run import Run
from bench.servers import server
from bench.stats import paired

__all__ = ["COLUMN", "COST", "NAME", "OFF", "ON", "measure"]

NAME = "identity"
ON = "with an identity"
OFF = "without"
COST = "added to the time of a call, in %"
COLUMN = "32 connections"
CONNECTIONS = 32


def measure(run: Run) -> None:
    """Pairs of rounds; who goes first changes, so that neither gains by it."""
    part = run.part(Part(NAME, "4. Cost of the identity (dedup on and off, same server)", "calls/s"))
    with ExitStack() as stack:
        folder = stack.enter_context(run.folder("identity"))
        url = stack.enter_context(server(folder / "data")).url
        rpc = stack.enter_context(Rpc(url))
        put_load(url, folder, Shape(), rpc.open_sessions(CONNECTIONS), connections=CONNECTIONS, seconds=1)
        for pair in run.rounds(run.effort.pairs, "identity on and off"):
            found = {}
            for with_identity in (True, False) if pair % 2 else (False, True):
                sessions = rpc.open_sessions(CONNECTIONS)
                shape = Shape(identity=with_identity)
                load = put_load(url, folder, shape, sessions, connections=CONNECTIONS, seconds=run.effort.seconds)
                run.add(part, ON if with_identity else OFF, COLUMN, load.per_s, load.faults)
                found[with_identity] = load.per_s
            for ratio in paired([found[False]], [found[True]]):
                run.add(part, COST, COLUMN, (ratio - 1) * 100)
