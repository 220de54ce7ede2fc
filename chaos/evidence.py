"""Evidence: what a cell measured, as files, and back. Whatever is judged or reported is read from here and nowhere
else.

    out/<run>/matrix.json                 what was run, with which versions, and the judged figures of every cell
    out/<run>/<cell>/cell.json            what was asked for, what the fault did, counts from both ends
    out/<run>/<cell>/history.jsonl        what clients did and were told, and when faults began and ended
    (docs/protocol.md, "Histories") out/<run>/<cell>/calls.jsonl          every call with its attempts
    out/<run>/<cell>/store.json           the store at the end, and the bank's ledger

Times are milliseconds since the history began. Guarantee: a cell that was interrupted leaves what it had. Limit: the
server's counters are those of its last life.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct, field

__all__ = ["MAY_BREAK", "MUST_BREAK", "MUST_HOLD", "AttemptRecord", "CallRecord", "CellRecord", "Counts", "Expected",
           "Row", "RunRecord", "StoreRecord", "TransferRecord", "read_calls", "read_cell", "read_history", "read_lines",
           "read_run", "read_store", "with_effects", "write", "write_run"]  # fmt: skip

SUMMARY = "matrix.json"
CALLS, CELL, HISTORY, STORE = "calls.jsonl", "cell.json", "history.jsonl", "store.json"
T = TypeVar("T")


class AttemptRecord(Struct, frozen=True):
    """One transmission."""

    number: int
    link: str
    began_ms: float
    took_ms: float
    ending: str


class CallRecord(Struct, frozen=True):
    """One call, as its client saw it.

    told: "ok", "definite", "unknown", or "never" when its client died before it was told. token: what the call wrote
    into `key`, once an effect; empty: it counted on a key of its own; None: a read. error: the name of a definite one.
    """

    name: str
    client: int
    lane: int
    method: str
    key: str
    token: str | None
    told: str
    began_ms: float
    took_ms: float
    attempts: tuple[AttemptRecord, ...] = ()
    result: dict[str, Any] | None = None
    replayed: bool = False
    error: str = ""
    reason: str = ""
    effects: int | None = None
    """As the store had them when the cell ended; the judge counts anew."""


class Counts(Struct, frozen=True):
    """Counts from both ends, for the proof that a fault fired.

    sent: attempts that left the clients (connections that were refused not counted). answered: those that a client
    got a reply to. arrived, refused (by name), failpoints (by name): as the server's present life counted them.
    identified: whether the attempts carried an identity.
    """

    sent: int = 0
    answered: int = 0
    arrived: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    failpoints: dict[str, int] = field(default_factory=dict)
    identified: bool = False

    @property
    def never_arrived(self) -> int:
        """Attempts that left a client and did not reach the server."""
        return self.sent - self.arrived

    @property
    def unheard(self) -> int:
        """Attempts that reached the server, and whose clients heard nothing."""
        return self.arrived - self.answered

    @property
    def unanswered(self) -> int:
        """Attempts that left a client and got no answer, wherever they ended."""
        return self.sent - self.answered

    def lost(self, stream: str) -> int:
        """What a fault of that direction took: requests upstream, replies downstream."""
        return self.never_arrived if stream == "upstream" else self.unheard


MUST_HOLD, MAY_BREAK, MUST_BREAK = "must hold", "may break", "must break"


class Expected(Struct, frozen=True):
    """What the scenario says of this cell before it is run.

    promise: MUST_HOLD, MAY_BREAK or MUST_BREAK; empty in evidence of before it was said. fault: one must have fired.
    red: some call must have two effects or more. broken: the promise must be broken. excused: it may be. unknown: "may"
    be said, "must" be said, or "never". calls: how many there must be; None: some. calm: every call must be told ok by
    its first attempt. lost: calls that were told ok must be gone, and none be doubled.
    """

    fault: bool = True
    red: bool = False
    broken: bool = False
    excused: bool = False
    unknown: str = "never"
    calls: int | None = None
    calm: bool = False
    promise: str = ""
    lost: bool = False


class CellRecord(Struct):
    """What was asked for, and what happened around the calls."""

    scenario: str
    column: str
    semantics: str
    delivery: str
    runtime: str
    seed: int
    clients: int
    calls: int
    repeat: str
    teaches: str
    expected: Expected
    counts: Counts = field(default_factory=Counts)
    fired: int = 0
    proof: list[str] = field(default_factory=list)
    """What else a fault saw that belongs to the evidence, in words."""
    unsteady: list[str] = field(default_factory=list)
    """Hypotheses about the healthy system that did not hold, before the fault or after it."""
    accounts: dict[str, int] = field(default_factory=dict)
    """What was in keys whose sum must stay the same; every read reads all of them, in this order."""
    hindrance: str = ""
    """Why it could not be measured to the end, if so."""
    missed: bool = False
    """It could not, for the fault found nothing to strike."""
    inconclusive: list[str] = field(default_factory=list)
    """Of each earlier try of this cell, which told nothing of the system: why."""
    took_s: float = 0.0
    model: str = "threads"
    workers: int = 1
    service: str = "kv"
    database: str = ""
    store: str = "sqlite"


class RunRecord(Struct):
    """What was run, with what, and the judged figures of every cell."""

    began: str
    command: str
    runtime: str
    seed: int
    clients: int
    calls_per_client: int
    versions: dict[str, str]
    cells: list[dict[str, Any]] = field(default_factory=list)
    took_s: float = 0.0
    complete: bool = False
    good: bool = False
    model: str = "threads"
    workers: int = 1
    """How the servers served; evidence of before there was a choice is of this one."""
    service: str = "kv"
    database: str = ""
    store: str = "sqlite"


class Row(Struct, frozen=True):
    """A key's value and version."""

    value: str
    version: int


class TransferRecord(Struct, frozen=True):
    """A line of the bank's ledger. `id`: its number, drawn while the accounts were locked."""

    id: int
    source: str
    target: str
    amount: int
    token: str


class StoreRecord(Struct, frozen=True):
    """The whole store when the cell ended. transfers: the bank's ledger, in the order of its numbers."""

    boot: int = 0
    rows: dict[str, Row] = field(default_factory=dict)
    transfers: list[TransferRecord] = field(default_factory=list)


def with_effects(call: CallRecord, effects: int) -> CallRecord:
    """The call with the number of its effects."""
    return msgspec.structs.replace(call, effects=effects)


def write(folder: Path, cell: CellRecord, calls: Sequence[CallRecord] | None, store: StoreRecord | None) -> None:
    """Write what there is."""
    (folder / CELL).write_bytes(msgspec.json.format(msgspec.json.encode(cell), indent=1) + b"\n")
    if calls is not None:
        (folder / CALLS).write_bytes(b"".join(msgspec.json.encode(call) + b"\n" for call in calls))
    if store is not None:
        (folder / STORE).write_bytes(msgspec.json.encode(store) + b"\n")


def write_run(folder: Path, run: RunRecord) -> None:
    """Write the summary."""
    (folder / SUMMARY).write_bytes(msgspec.json.format(msgspec.json.encode(run), indent=1) + b"\n")


def read_run(folder: Path) -> RunRecord:
    """Raises OSError, msgspec.DecodeError."""
    return msgspec.json.decode((folder / SUMMARY).read_bytes(), type=RunRecord)


def read_cell(folder: Path) -> CellRecord:
    """Raises OSError, msgspec.DecodeError."""
    return msgspec.json.decode((folder / CELL).read_bytes(), type=CellRecord)


def read_calls(folder: Path) -> list[CallRecord]:
    """The calls in the order in which they ended. Raises OSError, msgspec.DecodeError."""
    return read_lines(folder / CALLS, CallRecord)


def read_history(folder: Path) -> list[dict[str, Any]]:
    """The events of the cell's history. Raises OSError, msgspec.DecodeError."""
    return read_lines(folder / HISTORY, dict[str, Any])


def read_store(folder: Path) -> StoreRecord:
    """The store. Raises OSError, msgspec.DecodeError."""
    return msgspec.json.decode((folder / STORE).read_bytes(), type=StoreRecord)


def read_lines(path: Path, kind: type[T]) -> list[T]:
    """A file of JSON Lines, each of that kind. Raises OSError, msgspec.DecodeError."""
    decoder = msgspec.json.Decoder(kind)
    return [decoder.decode(line) for line in path.read_bytes().splitlines() if line]
