"""What the project wants to reach, and the word for what this run found: a median against a floor and an aim. Pure.

The machine's mood is not a reason to fail: nothing here asserts, and the spread stands beside the word.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bench import stores as engines
from bench.contenders import ETCD, FLASK, ONCEKV
from bench.measures import growth, identity, library, memory, operations, stores, writes
from bench.report.result_set import ResultSet
from bench.report.stats import paired, spread

__all__ = ["TARGETS", "Target", "results", "verdict"]

AT_32 = writes.column(32)
FLAT_BYTES = 20.0
"""What a session may grow by between its second and its last call: an idle record's reply gets a digit longer."""


@dataclass(frozen=True)
class Target:
    """`found` gives the rounds; what is wanted is at least `floor`, or at most, where `at_most`."""

    measurement: int
    what: str
    stands_on: str
    floor: float
    aim: float
    found: Callable[[ResultSet], Sequence[float]]
    at_most: bool = False
    unit: str = "×"


def verdict(value: float, floor: float, aim: float, *, at_most: bool) -> str:
    """One of: aim reached, floor reached, missed."""
    sign = -1 if at_most else 1
    if sign * value >= sign * aim:
        return "aim reached"
    return "floor reached" if sign * value >= sign * floor else "missed"


def results(result_set: ResultSet) -> list[dict[str, Any]]:
    """Every target with what was found, as the table and the JSON have it."""
    found = []
    for target in TARGETS:
        values = list(target.found(result_set))
        row: dict[str, Any] = {
            "measurement": target.measurement,
            "what": target.what,
            "stands_on": target.stands_on,
            "floor": target.floor,
            "aim": target.aim,
            "at_most": target.at_most,
            "unit": target.unit,
        }
        if values:
            known = spread(values)
            word = verdict(known.median, target.floor, target.aim, at_most=target.at_most)
            row |= {**known._asdict(), "verdict": word}
        else:
            row["verdict"] = "not measured"
        found.append(row)
    return found


def _over(part: str, above: tuple[str, str], below: tuple[str, str]) -> Callable[[ResultSet], list[float]]:
    return lambda result_set: paired(result_set.values(part, *above), result_set.values(part, *below))


def _keys(result_set: ResultSet) -> list[float]:
    """The most keys against the fewest, whatever the size of the run."""
    part = result_set.parts.get(growth.NAME)
    rows = [row for row in part.rows if row.endswith(" keys")] if part else []
    return _over(growth.NAME, (rows[-1], growth.CALLS), (rows[0], growth.CALLS))(result_set) if len(rows) > 1 else []


def _a_session(column: str) -> Callable[[ResultSet], list[float]]:
    """The largest that was ever seen, after the opening or after any call."""

    def found(result_set: ResultSet) -> list[float]:
        part = result_set.parts.get(memory.NAME)
        seen = [value for row in part.rows for value in part.values(row, column)] if part else []
        return [max(seen)] if seen else []

    return found


def _growth_of(column: str) -> Callable[[ResultSet], list[float]]:
    """From the second call of a session (from then on one record is kept and one forgotten) to the last."""

    def found(result_set: ResultSet) -> list[float]:
        part = result_set.parts.get(memory.NAME)
        seen = [part.values(row, column)[0] for row in part.rows[2:] if part.values(row, column)] if part else []
        return [seen[-1] - seen[0]] if len(seen) > 1 else []

    return found


def _library(view: str) -> Callable[[ResultSet], list[float]]:
    return lambda result_set: result_set.values(library.NAME, library.COST.format(view), library.COLUMN)


_ONCEKV = (ONCEKV, AT_32)
_SINGLES = (operations.SINGLES, operations.COLUMN)
TARGETS = (
    Target(1, "single writes against etcd", ETCD, 1.5, 2.5, _over(writes.NAME, _ONCEKV, (ETCD, AT_32))),
    Target(1, "single writes against the committing view", FLASK, 5, 8, _over(writes.NAME, _ONCEKV, (FLASK, AT_32))),
    Target(
        2,
        "batches of 100 against single transactions of etcd",
        ETCD,
        5,
        8,
        _over(
            operations.NAME,
            (operations.BATCH.format(100, 8), operations.COLUMN),
            (operations.ETCD_SINGLES, operations.COLUMN),
        ),
    ),
    Target(
        2,
        "replays against first executions",
        operations.SINGLES,
        1,
        1,
        _over(operations.NAME, (operations.REPLAYS, operations.COLUMN), _SINGLES),
    ),
    Target(
        4,
        "time that an identity adds to a call",
        identity.OFF,
        8,
        4,
        lambda result_set: result_set.values(identity.NAME, identity.COST, identity.COLUMN),
        at_most=True,
        unit="%",
    ),
    Target(5, "writes over the most keys", "the fewest keys", 0.8, 0.8, _keys),
    Target(
        5,
        "ready again after SIGKILL",
        "the largest store",
        2,
        2,
        lambda result_set: result_set.values(growth.RESTART, growth.ALL, growth.READY),
        at_most=True,
        unit="s",
    ),
    Target(
        6, "memory of a session", "an empty server", 200, 200, _a_session(memory.MEMORY), at_most=True, unit="bytes"
    ),
    Target(6, "disk of a session", "an empty store", 300, 300, _a_session(memory.DISK), at_most=True, unit="bytes"),
    Target(
        6,
        "memory that more calls add to a session",
        "after its second call",
        FLAT_BYTES,
        FLAT_BYTES,
        _growth_of(memory.MEMORY),
        at_most=True,
        unit="bytes",
    ),
    Target(
        6,
        "disk that more calls add to a session",
        "after its second call",
        FLAT_BYTES,
        FLAT_BYTES,
        _growth_of(memory.DISK),
        at_most=True,
        unit="bytes",
    ),
    *(
        Target(
            9,
            f"time that the library adds to a request: {view}",
            library.ORDINARY.format(view),
            15,
            8,
            _library(view),
            at_most=True,
            unit="%",
        )
        for view in library.VIEWS
    ),
    *(
        Target(
            10,
            f"{label}, against the store's own speed",
            own,
            0.5,
            0.8,
            _over(stores.NAME, (label, stores.AT), (own, stores.AT)),
        )
        for label, own in engines.PAIRS
    ),
    Target(
        10,
        "two servers on one PostgreSQL",
        engines.ONE,
        1.3,
        1.8,
        _over(stores.SCALING, (engines.TWO, stores.AT_EACH), (engines.ONE, stores.AT_EACH)),
    ),
)
