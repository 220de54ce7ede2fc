"""What a cell and a run are called: the five states of a cell, the kinds of endings, the verdict in a sentence. Pure.

A state is told by its sign and its word; its colour only says it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chaos.report.records import Call, Figures, Run

__all__ = ["ENDINGS", "STATES", "TOLD", "Ending", "State", "ending_of", "notes_of", "state_of", "told_of", "verdict_of"]


@dataclass(frozen=True)
class State:
    """How a cell came out. `name` is its CSS class."""

    name: str
    sign: str
    word: str
    meaning: str


KEPT = State("kept", "✓", "kept", "What the clients were told and what the store holds agree with the promise.")
DOUBLED = State(
    "red",
    "2×",
    "doubled",
    "Red. Some calls ran more than once. At-least-once promises no better: the promise is kept, and this is its price.",
)
BROKEN = State(
    "red",
    "✕",
    "BROKEN",
    "Red. The store contradicts what a client was told, and this cell is allowed to break: a server that forgets its "
    "dedup records or its disk cannot keep the promise.",
)
FAILS = State(
    "fails",
    "!",
    "FAILS THE RUN",
    "A promise broke that must hold, a control stayed green, a fault did not fire, or no order explains the history.",
)
UNMEASURED = State("none", "–", "not measured", "Nothing can be said about this cell.")
STATES = (KEPT, DOUBLED, BROKEN, FAILS, UNMEASURED)


def state_of(cell: Figures) -> State:
    """The one state of a cell; what fails the run goes before everything that it measured."""
    if cell.problems or (cell.calls and not cell.good):
        return FAILS
    if not cell.calls:
        return UNMEASURED
    if not cell.kept:
        return BROKEN
    return DOUBLED if cell.red else KEPT


def notes_of(cell: Figures) -> list[str]:
    """The figures that a caller would notice."""
    doubled, unknown, never = cell.effects.get("2+", 0), cell.told.get("unknown", 0), cell.told.get("never", 0)
    state = state_of(cell)
    notes = ["BROKEN"] if state is FAILS and cell.calls and not cell.kept else ["kept"] if state is DOUBLED else []
    notes += [f"{doubled:,} doubled"] if doubled else []
    notes += [f"{unknown:,} unknown"] if unknown else []
    notes += [f"{never:,} never told"] if never else []
    return notes + {"no": ["no order explains it"], "unknown": ["order not decided"]}.get(cell.linearizable, [])


def verdict_of(run: Run) -> str:
    """The run in a sentence."""
    failed = sum(1 for cell in run.cells if state_of(cell) is FAILS)
    if failed:
        return f"{failed} of {len(run.cells)} cells {'fails' if failed == 1 else 'fail'} the run."
    if not run.complete:
        return f"Incomplete: the run ended after {len(run.cells)} cells, and proves nothing about the others."
    controls = sum(1 for cell in run.cells if cell.control)
    if not run.good:
        return "The run failed, and its cells do not say why."
    came = f", and {_controls(controls)}" if controls else ""
    return f"Every promise that can be kept was kept{came}."


def _controls(count: int) -> str:
    return (
        "the one control came out red, as it must" if count == 1 else f"all {count} controls came out red, as they must"
    )


@dataclass(frozen=True)
class Ending:
    """A kind of ending. `name` is the CSS class and colour, `sign` the shape that the plots draw."""

    name: str
    sign: str
    meaning: str


ANSWERED = Ending("answered", "●", "answered")
REPLAYED = Ending("replayed", "◆", "answered by a replay of the first reply")
REFUSED = Ending("refused", "■", "refused or failed, with a reply")
LOST = Ending("lost", "✕", "no answer")
NOT_SENT = Ending("unsent", "○", "not sent: no connection")
ENDINGS = (ANSWERED, REPLAYED, REFUSED, LOST, NOT_SENT)


def ending_of(text: str) -> Ending:
    """The kind of an attempt's ending, as the client describes it."""
    if text.startswith("ok"):
        return REPLAYED if "replayed" in text else ANSWERED
    if text.startswith(("refused", "error")):
        return REFUSED
    return NOT_SENT if text.startswith("not sent") else LOST


TOLD: Sequence[Ending] = (
    Ending("answered", "●", "ok"),
    Ending("replayed", "◆", "ok, by a replay"),
    Ending("refused", "■", "definite failure"),
    Ending("lost", "✕", "unknown, or never told"),
)


def told_of(call: Call) -> Ending:
    """What the client was told about the whole call."""
    ok, replayed, definite, unknown = TOLD
    if call.told == "ok":
        return replayed if call.replayed else ok
    return definite if call.told == "definite" else unknown
