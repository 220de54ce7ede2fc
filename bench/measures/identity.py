"""4. What the promise costs: the same server, the same writes, with an identity and without, in turn.

The cost is the time that an identity adds to a call, in parts of the time of the call without one, as RIFL (SOSP 2015)
gives its own: per pair of rounds, since the machine is not equally fast all the time.

The server's own processor time a call stands beside it: other programs on the machine move it less than they move the
clock. It is not a target, and it leaves out what calls wait for.
"""

from __future__ import annotations

from contextlib import ExitStack

from bench.load.plan import Shape, put_load
from bench.load.rpc import Rpc
from bench.procfs import processor_us
from bench.report.result_set import Part
from bench.report.stats import paired
from bench.run import Run
from bench.servers import server

__all__ = ["COLUMN", "COST", "COST_CPU", "NAME", "OFF", "ON", "PROCESSOR", "measure"]

NAME = "identity"
ON = "with an identity"
OFF = "without"
COST = "added to the time of a call, in %"
COST_CPU = "added to the server's processor time, in %"
COLUMN = "32 connections"
PROCESSOR = "server's processor, µs a call"
CONNECTIONS = 32


def measure(run: Run) -> None:
    """Pairs of rounds; who goes first changes, so that neither gains by it."""
    part = run.part(Part(NAME, "4. Cost of the identity (dedup on and off, same server)", "calls/s, µs"))
    with ExitStack() as stack:
        folder = stack.enter_context(run.folder("identity"))
        node = stack.enter_context(server(folder / "data"))
        url = node.url
        rpc = stack.enter_context(Rpc(url))
        put_load(url, folder, Shape(), rpc.open_sessions(CONNECTIONS), connections=CONNECTIONS, seconds=1)
        for pair in run.rounds(run.effort.pairs, "identity on and off"):
            found, used = {}, {}
            for with_identity in (True, False) if pair % 2 else (False, True):
                sessions = rpc.open_sessions(CONNECTIONS)
                shape = Shape(identity=with_identity)
                before_us = sum(map(processor_us, node.members()))
                load = put_load(url, folder, shape, sessions, connections=CONNECTIONS, seconds=run.effort.seconds)
                row = ON if with_identity else OFF
                run.add(part, row, COLUMN, load.per_s, load.faults)
                found[with_identity] = load.per_s
                if load.good:
                    used[with_identity] = (sum(map(processor_us, node.members())) - before_us) / load.good
                    run.add(part, row, PROCESSOR, used[with_identity])
            for ratio in paired([found[False]], [found[True]]):
                run.add(part, COST, COLUMN, (ratio - 1) * 100)
            if len(used) == len(found):
                run.add(part, COST_CPU, PROCESSOR, (used[True] / used[False] - 1) * 100)
