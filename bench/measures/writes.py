"""1. Single durable exactly-once writes, one connection and many, against everything that could have done them."""

from __future__ import annotations

from contextlib import ExitStack

from bench.baselines.ports import BaselineFailed
from bench.baselines.sqlite_alone import changes_per_s
from bench.contenders import CONTENDERS, ONCEKV, Contender
from bench.progress import progress
from bench.report.result_set import Part
from bench.run import Run
from chaos.runtime.etcd import EtcdMissing

__all__ = ["ALONE", "GROUPS", "NAME", "column", "measure"]

NAME = "writes"
GROUPS = (1, 16, 256)
ALONE = "SQLite alone, groups of {}"
NO_SERVER = "no server"


def column(connections: int) -> str:
    """The name of a column."""
    return f"{connections} connection{'s' if connections > 1 else ''}"


def measure(run: Run) -> None:
    """All contenders side by side, round by round; then SQLite by itself, which leaves them idle meanwhile."""
    part = run.part(
        Part(
            NAME,
            "1. Single durable exactly-once writes",
            "calls/s",
            against=ONCEKV,
            inverted=True,
            note="× is how many times as fast OnceKV is. SQLite alone is the limit: one thread in a loop, no server.",
        )
    )
    with ExitStack() as stack:
        contenders = open_all(run, stack, part)
        for contender in contenders:
            contender.load(run.effort.connections[0], 1)  # warms up; not counted
        for _ in run.rounds(run.effort.rounds, "writes"):
            for connections in run.effort.connections:
                _round(run, part, contenders, connections)
            _alone(run, part)


def open_all(run: Run, stack: ExitStack, part: Part, labels: tuple[str, ...] = tuple(CONTENDERS)) -> list[Contender]:
    """Those that can be had; of the others the table says why not."""
    opened = []
    for label in labels:
        try:
            opened.append(CONTENDERS[label](stack, run))
        except (EtcdMissing, BaselineFailed) as error:
            progress(f"{label} is not measured: {error}")
            run.result_set.facts.setdefault("not_measured", {})[label] = str(error)
            for connections in run.effort.connections:
                part.lack(label, column(connections), str(error))
    return opened


def _round(run: Run, part: Part, contenders: list[Contender], connections: int) -> None:
    for contender in contenders:
        load = contender.load(connections, run.effort.seconds)
        run.add(part, contender.label, column(connections), load.per_s, load.faults)


def _alone(run: Run, part: Part) -> None:
    for group in GROUPS:
        with run.folder("sqlite") as folder:
            value = changes_per_s(folder / "alone.db", group, run.effort.seconds / 2)
        run.add(part, ALONE.format(group), NO_SERVER, value)
