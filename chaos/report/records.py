"""What a run's folder holds, read as it is: figures, calls with their attempts, faults, orders, the store.

Guarantee: a file that is missing, or a line that was cut off when a run died, is told as such (`None`, `unread`) and
never stops the report. Limit: nothing is checked here; the judge and the checker have done that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

__all__ = [
    "Attempt",
    "Band",
    "Call",
    "CellEvidence",
    "EvidenceMissing",
    "Figures",
    "KeyOrder",
    "Linearization",
    "Run",
    "Store",
    "bands_of",
    "read_cell",
    "read_run",
]

SUMMARY = "matrix.json"
FILES = ("history.jsonl", "calls.jsonl", "store.json", "linearization.json")

T = TypeVar("T")


class EvidenceMissing(Exception):
    """The folder is not a run's; the message says so in one line."""


class Figures(msgspec.Struct, frozen=True):
    """One cell of `matrix.json`. `linearizable`: "yes", "no", "unknown", or "" where nobody checked."""

    scenario: str
    column: str
    folder: str = ""
    repeat: str = ""
    teaches: str = ""
    control: bool = False
    promise: str = ""
    calls: int = 0
    attempts: int = 0
    effects: dict[str, int] = {}
    told: dict[str, int] = {}
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    fired: int = 0
    kept: bool = False
    red: bool = False
    linearizable: str = ""
    violations: list[str] = []
    problems: list[str] = []
    took_s: float = 0.0
    good: bool = False

    @property
    def slug(self) -> str:
        """The folder's name, and the cell's anchor."""
        return self.folder or f"{self.scenario}--{self.column.replace('/', '-')}"


class Run(msgspec.Struct, frozen=True):
    """`matrix.json`. Times in seconds; `began` is ISO 8601."""

    began: str = ""
    runtime: str = ""
    model: str = "threads"
    workers: int = 1
    seed: int = 0
    clients: int = 0
    calls_per_client: int = 0
    command: str = ""
    versions: dict[str, str] = {}
    took_s: float = 0.0
    complete: bool = False
    good: bool = False
    cells: list[Figures] = []


class Attempt(msgspec.Struct, frozen=True):
    """One transmission, in milliseconds since the history began."""

    number: int
    link: str
    began_ms: float
    took_ms: float
    ending: str


class Call(msgspec.Struct, frozen=True):
    """One call as its client saw it.

    `token`: what it wrote into `key`; None: it is a read, and has no `effects`: how often the store holds a write.
    `took_ms` None: its client was never told anything.
    """

    name: str
    told: str
    began_ms: float
    client: int | str = 0
    lane: int | str = 0
    method: str = ""
    key: str = ""
    token: str | None = ""
    reason: str = ""
    replayed: bool = False
    result: dict[str, Any] | None = None
    effects: int | None = 0
    took_ms: float | None = None
    attempts: list[Attempt] = []

    @property
    def ran(self) -> int:
        """How many effects it has in the store; a read has none."""
        return self.effects or 0

    @property
    def is_read(self) -> bool:
        return self.effects is None

    @property
    def ended_ms(self) -> float:
        last = self.attempts[-1] if self.attempts else None
        end_ms = last.began_ms + last.took_ms if last else self.began_ms
        return end_ms if self.took_ms is None else max(end_ms, self.began_ms + self.took_ms)


class Band(msgspec.Struct, frozen=True):
    """While a fault was in. `is_open`: its end is not in the history, and the band goes to the last event."""

    label: str
    began_ms: float
    ended_ms: float
    is_open: bool = False


class KeyOrder(msgspec.Struct, frozen=True):
    """One key's verdict, and the order that explains it, or the reason why there is none."""

    verdict: str = "unknown"
    order: list[str] = []
    reason: str = ""


class Linearization(msgspec.Struct, frozen=True):
    """`linearization.json`."""

    verdict: str = "unknown"
    keys: dict[str, KeyOrder] = {}


class Store(msgspec.Struct, frozen=True):
    """`store.json`: the rows at the end, and how often the server had been started on them."""

    boot: int = 0
    rows: dict[str, dict[str, Any]] = {}


class Counts(msgspec.Struct, frozen=True):
    """Attempts, counted at both ends; the server's counters are those of its last life."""

    sent: int = 0
    answered: int = 0
    arrived: int = 0
    refused: dict[str, int] = {}
    failpoints: dict[str, int] = {}


class Conditions(msgspec.Struct, frozen=True):
    """`cell.json`. `proof`: what a fault saw, in words. `unsteady`: what was not healthy before or after it."""

    counts: Counts = Counts()
    proof: list[str] = []
    unsteady: list[str] = []


class CellEvidence(msgspec.Struct, frozen=True):
    """All of one cell. None: the file is not there or cannot be read. `unread`: lines that could not be read."""

    figures: Figures
    calls: list[Call] | None = None
    bands: list[Band] = []
    store: Store | None = None
    conditions: Conditions | None = None
    linearization: Linearization | None = None
    unread: int = 0
    missing: list[str] = []


class _Event(msgspec.Struct):
    """A line of a history, as far as the report needs it."""

    time: int
    process: int | str
    f: str = ""
    value: Any = None


def read_run(folder: Path) -> Run:
    """The summary of a run. Raises EvidenceMissing."""
    try:
        return msgspec.json.decode((folder / SUMMARY).read_bytes(), type=Run)
    except (OSError, msgspec.MsgspecError) as error:
        raise EvidenceMissing(f"{folder} has no readable {SUMMARY}: {error}") from error


def read_cell(folder: Path, figures: Figures) -> CellEvidence:
    """Everything that the cell's own folder holds."""
    place = folder / figures.slug
    events, unread_events = _lines(place / "history.jsonl", _Event)
    calls, unread_calls = _lines(place / "calls.jsonl", Call)
    store = _document(place / "store.json", Store)
    linearization = _document(place / "linearization.json", Linearization)
    # An order is looked for only where the semantics promises one.
    found = (events, calls, store, linearization if linearization or figures.linearizable else ())
    return CellEvidence(
        figures=figures,
        calls=sorted(calls, key=lambda call: call.began_ms) if calls is not None else None,
        bands=list(bands_of(events or [])),
        store=store,
        conditions=_document(place / "cell.json", Conditions),
        linearization=linearization,
        unread=unread_events + unread_calls,
        missing=[name for name, content in zip(FILES, found, strict=True) if content is None],
    )


def bands_of(events: Iterable[_Event]) -> Iterator[Band]:
    """Pair the begins and ends of faults by what they say; equal ones nest. An end without a begin is passed over."""
    begun: list[_Event] = []
    end_ms = 0.0
    for event in events:
        end_ms = event.time / 1e6
        if event.process != "nemesis":
            continue
        if event.f == "begin":
            begun.append(event)
        elif event.f == "end":
            match = next((one for one in reversed(begun) if one.value == event.value), None)
            if match is not None:
                begun.remove(match)
                yield Band(_said(match), match.time / 1e6, end_ms)
    for event in begun:
        yield Band(_said(event), event.time / 1e6, end_ms, is_open=True)


def _said(event: _Event) -> str:
    return str(event.value or "fault")


def _lines(path: Path, kind: type[T]) -> tuple[list[T] | None, int]:
    """The lines that can be read, and how many cannot; None where there is no file."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return None, 0
    decoder = msgspec.json.Decoder(kind)
    read: list[T] = []
    for line in filter(None, lines):
        try:
            read.append(decoder.decode(line))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue
    return read, sum(1 for line in lines if line) - len(read)


def _document(path: Path, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, UnicodeDecodeError, msgspec.MsgspecError):
        return None
