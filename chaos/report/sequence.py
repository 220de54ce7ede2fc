"""The sequence diagram of one call: client, link and server, with the times that were measured. Pure.

    client ──────── link ──────── server        an attempt that was answered goes there and comes back
    client ──────── link ┄┄ ?                   without an answer: how far it came is drawn only if it is proven

An attempt without an answer is drawn through to the server, solid, only where `proof` says that it took effect. Where
its reply was lost, or whether there was one, the evidence does not tell, and no reply is drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from chaos.report.labels import LOST, ending_of
from chaos.report.proof import RAN, UNSENT, fates
from chaos.report.records import Attempt, Band, Call

__all__ = ["CLIENT_X", "LINK_X", "SERVER_X", "WIDTH", "Box", "Diagram", "Line", "Text", "draw"]

WIDTH, CLIENT_X, LINK_X, SERVER_X = 400, 84, 212, 340
HEAD, SEND, END, FAULT, GAP = 40, 46, 22, 26, 24
TEXT_MAX = 34
ATTEMPTS_SHOWN = 6


@dataclass(frozen=True)
class Line:
    """`kind`: its CSS class: sent, lost, reply, fault. `arrow`: it has a head at its end. `cross`: or a ✕."""

    x1: float
    x2: float
    y: float
    kind: str
    arrow: bool = False
    cross: bool = False


@dataclass(frozen=True)
class Text:
    x: float
    y: float
    text: str
    kind: str
    anchor: str = "middle"


@dataclass(frozen=True)
class Box:
    """On the server's lifeline."""

    y: float
    text: str
    kind: str


@dataclass
class Diagram:
    """What the template draws."""

    height: float = HEAD
    lines: list[Line] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)


@dataclass(frozen=True)
class _Step:
    """Something at a time: an attempt leaves ("sent"), an attempt ends ("end"), a fault changes, attempts left out."""

    at_ms: float
    kind: str
    text: str = ""
    attempt: Attempt | None = None
    fate: str = ""


def draw(call: Call, bands: Sequence[Band], copies: bool = False) -> Diagram:
    """The diagram, of a height that its steps need. `copies`: as in `proof`."""
    diagram = Diagram()
    y: float = HEAD + 12
    for step in _steps(call, bands, fates(call, copies)):
        y = _add(diagram, step, y)
    diagram.height = y + 4
    return diagram


def _add(diagram: Diagram, step: _Step, y: float) -> float:
    """Draw one step; where the next one goes."""
    if step.kind == "sent" and step.attempt is not None:
        diagram.texts.append(_time(step, y))
        return y + _sent(diagram, step.attempt, step.fate, y)
    if step.kind == "end" and step.attempt is not None:
        diagram.texts.append(_time(step, y))
        _end(diagram, step.attempt, step.fate, y)
        return y + END + GAP
    if step.kind == "fault":
        diagram.lines.append(Line(CLIENT_X - 14, WIDTH - 4, y, "fault"))
        diagram.texts.append(_time(step, y))
    diagram.texts.append(Text((CLIENT_X + SERVER_X) / 2, y - 4, step.text, step.kind))
    return y + FAULT


def _sent(diagram: Diagram, attempt: Attempt, fate: str, y: float) -> float:
    middle = (CLIENT_X + LINK_X) / 2
    if fate == UNSENT:
        diagram.lines.append(Line(CLIENT_X, CLIENT_X + 34, y, "unsent", cross=True))
        diagram.texts.append(Text(CLIENT_X + 44, y + 4, f"attempt {attempt.number}: no connection", "unsent", "start"))
        return SEND - 12
    diagram.texts.append(Text(middle, y - 5, f"attempt {attempt.number}", "sent"))
    if ending_of(attempt.ending) is LOST and fate != RAN:
        diagram.lines.append(Line(CLIENT_X, LINK_X, y, "sent", arrow=True))
        diagram.lines.append(Line(LINK_X, SERVER_X - 60, y, "lost"))
        diagram.texts.append(Text(SERVER_X - 50, y + 5, "?", "doubt"))
        diagram.texts.append(Text(SERVER_X - 2, y + 24, fate, "fate"))
    else:
        diagram.lines.append(Line(CLIENT_X, SERVER_X, y, "sent", arrow=True))
        diagram.boxes.append(Box(y + 7, fate, "ran" if fate == RAN else "other"))
    return SEND


def _end(diagram: Diagram, attempt: Attempt, fate: str, y: float) -> None:
    if fate == UNSENT:
        return
    middle = (CLIENT_X + LINK_X) / 2
    if ending_of(attempt.ending) is LOST:
        diagram.lines.append(Line(LINK_X - 20, CLIENT_X, y, "lost", cross=True))
        diagram.texts.append(Text(middle + 6, y - 6, _short(attempt.ending, 18), "lost"))
    else:
        diagram.lines.append(Line(SERVER_X, CLIENT_X, y, "reply", arrow=True))
        diagram.texts.append(Text((CLIENT_X + SERVER_X) / 2, y - 5, _short(attempt.ending), "reply"))


def _steps(call: Call, bands: Sequence[Band], known: Sequence[str]) -> list[_Step]:
    """Everything that happened between the call's begin and end, in order."""
    steps = list(_of_attempts(call, known))
    for band in bands:
        edges = [(band.began_ms, "begins"), *([] if band.is_open else [(band.ended_ms, "ends")])]
        steps += [
            _Step(at_ms, "fault", f"{_short(band.label.split(':')[0])} {what}")
            for at_ms, what in edges
            if call.began_ms <= at_ms <= call.ended_ms
        ]
    return sorted(steps, key=lambda step: step.at_ms)


def _of_attempts(call: Call, known: Sequence[str]) -> Iterator[_Step]:
    pairs = list(zip(call.attempts, known, strict=True))
    half = ATTEMPTS_SHOWN // 2
    hidden = range(half, len(pairs) - half) if len(pairs) > ATTEMPTS_SHOWN + 1 else range(0)
    for place, (attempt, fate) in enumerate(pairs):
        if place not in hidden:
            yield _Step(attempt.began_ms, "sent", attempt=attempt, fate=fate)
            if fate != UNSENT:
                yield _Step(attempt.began_ms + attempt.took_ms, "end", attempt=attempt, fate=fate)
        elif place == hidden[0]:
            yield _Step(attempt.began_ms, "more", f"… {len(hidden)} more attempts, none of them answered with ok …")


def _time(step: _Step, y: float) -> Text:
    return Text(CLIENT_X - 20, y + 4, f"{step.at_ms / 1000:.3f} s", "time", "end")


def _short(text: str, length: int = TEXT_MAX) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
