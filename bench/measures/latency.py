"""3. How long a call takes at half of what its server could do, and when the server is saturated.

Half of the peak that this run found for each (measured here when it found none). The calls leave at even moments, on
many connections, so a call that takes long does not hold the next one back; what the load generator itself could not
send in time shows in the rate, which stands beside the figures.
"""

from __future__ import annotations

from contextlib import ExitStack
from statistics import median

from bench.contenders import ETCD, FLASK, ONCEKV, Contender
from bench.load.wrk import Load
from bench.measures import writes
from bench.report.result_set import Part
from bench.run import Run

__all__ = ["LABELS", "NAME", "measure"]

NAME = "latency"
LABELS = (ONCEKV, ETCD, FLASK)
CONNECTIONS_PACED = 128
CONNECTIONS_FULL = 32
ROUNDS_MAX = 5
PERCENTILES = {"p50": "p50_us", "p99": "p99_us", "p99.9": "p999_us"}


def measure(run: Run) -> None:
    """OnceKV, etcd and the committing view in turn."""
    part = run.part(
        Part(
            NAME,
            "3. Latency of a single durable write",
            "ms",
            note="At half of each one's own peak (paced, 128 connections), and saturated by 32 connections.",
        )
    )
    with ExitStack() as stack:
        contenders = writes.open_all(run, stack, Part("none", "", ""), LABELS)
        for label in set(LABELS) - {contender.label for contender in contenders}:
            part.lack(_half(label), "p50", run.result_set.facts["not_measured"][label])
        peaks = {contender.label: _peak(run, contender) for contender in contenders}
        for _ in run.rounds(min(run.effort.rounds, ROUNDS_MAX), "latency"):
            for contender in contenders:
                rate = peaks[contender.label] / 2
                paced = contender.load(CONNECTIONS_PACED, run.effort.latency_seconds, rate)
                _put(run, part, _half(contender.label), paced)
                _put(run, part, f"{contender.label}, saturated", contender.load(CONNECTIONS_FULL, run.effort.seconds))


def _half(label: str) -> str:
    return f"{label}, at half of its peak"


def _peak(run: Run, contender: Contender) -> float:
    columns = [writes.column(connections) for connections in run.effort.connections]
    found = [run.result_set.values(writes.NAME, contender.label, column) for column in columns]
    known = [median(values) for values in found if values]
    return max(known) if known else contender.load(CONNECTIONS_FULL, 1).per_s


def _put(run: Run, part: Part, row: str, load: Load) -> None:
    for column, field in PERCENTILES.items():
        run.add(part, row, column, getattr(load, field) / 1000, load.faults)
    run.add(part, row, "calls/s", load.per_s)
