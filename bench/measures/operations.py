"""2. Batches of 1, 10 and 100, reads, replays, and compare-and-set with everybody on one key."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from bench.baselines.ports import BaselineFailed
from bench.contenders import CONTENDERS, ETCD, Contender
from bench.load.plan import VALUE, Shape, put_load
from bench.load.rpc import Rpc
from bench.load.wrk import Load
from bench.report.result_set import Part
from bench.run import Run
from bench.servers import server
from chaos.runtime.etcd import EtcdMissing

__all__ = ["BATCH", "CAS", "CAS_MISSED", "COLUMN", "ETCD_SINGLES", "NAME", "READS", "REPLAYS", "SINGLES", "measure"]

NAME = "shapes"
COLUMN = "calls/s"
SINGLES = "single writes, 32 connections"
BATCH = "batches of {}, {} connections"
ETCD_SINGLES = "etcd's single transactions, 32 connections"
READS = "reads, 32 connections"
REPLAYS = "replays, 32 connections"
CAS = "compare-and-set on one key, 32 connections: set"
CAS_MISSED = "compare-and-set on one key, 32 connections: version_mismatch"

CONNECTIONS = 32
BATCHES = ((1, 32), (10, 32), (100, 8))
"""Size and connections: all calls together stay below the server's queue (1,024), or it would refuse the rest."""


def measure(run: Run) -> None:
    """All of them in turn on one server."""
    part = run.part(
        Part(
            NAME,
            "2. Batches, reads, replays, contention",
            "calls/s",
            against=SINGLES,
            note="× is against single writes.",
        )
    )
    with ExitStack() as stack:
        folder = stack.enter_context(run.folder("shapes"))
        url = stack.enter_context(server(folder / "data")).url
        rpc = stack.enter_context(Rpc(url))
        rpc.batch([("kv.put", {"key": f"k{number:07d}", "value": VALUE}) for number in range(1_000)])
        etcd = _etcd(run, stack, part)
        for _ in run.rounds(run.effort.rounds, "batches, reads, replays, contention"):
            _round(run, part, url, folder, rpc)
            if etcd:
                found = etcd.load(CONNECTIONS, run.effort.seconds)
                run.add(part, ETCD_SINGLES, COLUMN, found.per_s, found.faults)


def _etcd(run: Run, stack: ExitStack, part: Part) -> Contender | None:
    """What the batches are judged by, where it can be had; the writes' own part says why not."""
    try:
        return CONTENDERS[ETCD](stack, run)
    except (EtcdMissing, BaselineFailed) as error:
        part.lack(ETCD_SINGLES, COLUMN, str(error))
        return None


def _round(run: Run, part: Part, url: str, folder: Path, rpc: Rpc) -> None:
    def load(shape: Shape, connections: int = CONNECTIONS, sessions: list[str] | None = None) -> Load:
        names = sessions or rpc.open_sessions(connections)
        return put_load(url, folder, shape, names, connections=connections, seconds=run.effort.seconds)

    def put(row: str, found: Load) -> None:
        run.add(part, row, COLUMN, found.per_s, found.faults)

    put(SINGLES, load(Shape()))
    for size, connections in BATCHES:
        put(BATCH.format(size, connections), load(Shape(batch=size), connections))
    put(READS, load(Shape("get")))
    put(REPLAYS, load(Shape("replay"), sessions=_executed_once(rpc)))
    contended = load(Shape("cas"))
    put(CAS, contended)
    run.add(part, CAS_MISSED, COLUMN, contended.others_per_s)


def _executed_once(rpc: Rpc) -> list[str]:
    """Sessions whose first call has run, and is not acknowledged."""
    sessions = rpc.open_sessions(CONNECTIONS)
    params = {"key": "k0000000", "value": VALUE}
    rpc.batch([("kv.put", {**params, "_meta": {"session": name, "seq": 1}}) for name in sessions])
    return sessions
