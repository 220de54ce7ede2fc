"""Events in, operations out: a history in Jepsen's form (docs/protocol.md, "Histories"), each operation with the
interval it lies in.

    invoke … ok      it happened once, between the two lines, with this result
    invoke … fail    it changed nothing; nothing else follows from it
    invoke … info    nobody can tell: it happened at one moment after the invoke, however late, or never
    invoke …         the same: its completion was not written any more

The order of the lines is real time; the members `index` and `time` are not looked at. Lines of the process "nemesis"
are passed over. A process that goes on after an `info` under its old number is accepted, although writers should give
it a new one: all that is concluded comes from the intervals, none of it from who ran them, and which completion
belongs to which invoke stays clear.

Guarantee: what is not such a history raises HistoryError with the line and what to do; no event is dropped silently.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import msgspec

__all__ = ["Event", "History", "HistoryError", "Operation", "Vocabulary", "parse", "quoted"]

NEMESIS = "nemesis"
SHOWN_MAX = 60
Event = Mapping[str, Any]


class HistoryError(Exception):
    """The events are not a history of that model. `line` counts from 1."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(f"line {line}: {problem}")
        self.line = line
        self.problem = problem


class Vocabulary(Protocol):
    """What a model says about the events that it understands. Each check answers with what is wrong, or None."""

    name: str
    functions: frozenset[str]
    needs_key: bool

    def argument_problem(self, f: str, value: Any) -> str | None:
        """What is wrong with an invoke's value."""

    def result_problem(self, f: str, value: Any) -> str | None:
        """What is wrong with an ok's value."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One call. Lines count from 1; `completed` is None and `outcome` "info" while nobody can tell.

    `result`, `version` and `offset` are of an `ok` alone; the last two are None where the event does not have them.
    """

    f: str
    key: str | None
    argument: Any
    process: Hashable
    invoked: int
    outcome: str = "info"
    completed: int | None = None
    result: Any = None
    version: int | None = None
    offset: int | None = None
    call: str | None = None
    attempts: int | None = None
    error: str | None = None

    @property
    def is_pending(self) -> bool:
        return self.completed is None

    def as_of(self, line: int) -> Operation:
        """The operation as it stood after that line: pending, if it completed later."""
        if self.completed is None or self.completed <= line:
            return self
        return replace(self, outcome="info", completed=None, result=None, version=None, offset=None)


@dataclass(frozen=True, slots=True)
class History:
    """Operations in the order of their invokes."""

    operations: tuple[Operation, ...]
    events: int

    def by_key(self) -> dict[str | None, list[Operation]]:
        """The operations of each key. Keys are checked apart, as linearizability is local (Herlihy & Wing 1990)."""
        parts: dict[str | None, list[Operation]] = {}
        for operation in self.operations:
            parts.setdefault(operation.key, []).append(operation)
        return parts


def parse(events: Iterable[str | bytes | Event], vocabulary: Vocabulary) -> History:
    """The history that the events (JSON lines or decoded objects) tell. Raises HistoryError; skips empty lines."""
    operations: list[Operation] = []
    open_of: dict[Hashable, int] = {}
    count = 0
    for line, raw in enumerate(events, 1):
        if isinstance(raw, str | bytes) and not raw.strip():
            continue
        count += 1
        event = _decoded(raw, line)
        process = _process(event, line)
        if process == NEMESIS:
            continue
        kind = _member(event, "type", line)
        if kind == "invoke":
            if process in open_of:
                first = operations[open_of[process]].invoked
                raise HistoryError(
                    line,
                    f"process {process!r} invokes again, but its operation of line {first} has no completion; write its"
                    " ok, fail or info first, or give each concurrent caller a process number of its own",
                )
            open_of[process] = len(operations)
            operations.append(_invoked(event, process, line, vocabulary))
        elif kind in ("ok", "fail", "info"):
            if process not in open_of:
                raise HistoryError(line, f"process {process!r} completes ({kind}) what it has not invoked")
            number = open_of.pop(process)
            operations[number] = _completed(operations[number], kind, event, line, vocabulary)
        else:
            raise HistoryError(line, f"type is {quoted(kind)}; it must be invoke, ok, fail or info")
    return History(tuple(operations), count)


def _decoded(raw: str | bytes | Event, line: int) -> Event:
    event: Any = raw
    if isinstance(raw, str | bytes):
        try:
            event = msgspec.json.decode(raw)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise HistoryError(
                line, f"not JSON ({error}); if the writer died while it wrote the last line, remove that line"
            ) from None
    if not isinstance(event, Mapping):
        raise HistoryError(line, f"{quoted(event)} is not an event; a line must be a JSON object")
    return event


def _member(event: Event, name: str, line: int) -> Any:
    if name not in event:
        raise HistoryError(line, f"the event has no member {name!r}")
    return event[name]


def _process(event: Event, line: int) -> Hashable:
    process: Hashable = _member(event, "process", line)
    if isinstance(process, bool) or not isinstance(process, int | str):
        raise HistoryError(line, f"process is {quoted(process)}; it must be a number, or {NEMESIS!r} for a fault")
    return process


def _invoked(event: Event, process: Hashable, line: int, vocabulary: Vocabulary) -> Operation:
    f, key = _member(event, "f", line), event.get("key")
    if not isinstance(f, str) or f not in vocabulary.functions:
        known = ", ".join(sorted(vocabulary.functions))
        raise HistoryError(line, f"f is {quoted(f)}, which model {vocabulary.name} does not have (it has {known})")
    if key is None and vocabulary.needs_key:
        raise HistoryError(line, f"{f} has no key, and model {vocabulary.name} needs one")
    if key is not None and not isinstance(key, str):
        raise HistoryError(line, f"key is {quoted(key)}; it must be a string")
    argument = event.get("value")
    if problem := vocabulary.argument_problem(f, argument):
        raise HistoryError(line, f"invoke of {f} with value {quoted(argument)}; {problem}")
    return Operation(f, key, argument, process, line, call=_text(event, "call"), attempts=_count(event, "attempts"))


def _completed(operation: Operation, kind: str, event: Event, line: int, vocabulary: Vocabulary) -> Operation:
    f, key = _member(event, "f", line), event.get("key", operation.key)
    if (f, key) != (operation.f, operation.key):
        told, begun = f"{quoted(f)} of key {quoted(key)}", f"{quoted(operation.f)} of key {quoted(operation.key)}"
        raise HistoryError(line, f"completes {told}, but line {operation.invoked} invoked {begun}")
    operation = replace(
        operation,
        call=_text(event, "call") or operation.call,
        attempts=_count(event, "attempts") or operation.attempts,
        error=_text(event, "error"),
    )
    if kind == "info":
        return operation
    operation = replace(operation, outcome=kind, completed=line)
    return operation if kind == "fail" else _answered(operation, event, line, vocabulary)


def _answered(operation: Operation, event: Event, line: int, vocabulary: Vocabulary) -> Operation:
    f, result = operation.f, event.get("value")
    if problem := vocabulary.result_problem(f, result):
        raise HistoryError(line, f"ok of {f} with value {quoted(result)}; {problem}")
    version, offset = (_fact(event, name, line) for name in ("version", "offset"))
    if offset is not None and f != "append":
        raise HistoryError(line, f"{f} has an offset, which only an append can have")
    return replace(operation, result=result, version=version, offset=offset)


def _fact(event: Event, name: str, line: int) -> int | None:
    told = event.get(name)
    if told is None or (isinstance(told, int) and not isinstance(told, bool) and told >= 0):
        return told
    raise HistoryError(line, f"{name} is {quoted(told)}; it must be a number, 0 or more")


def _text(event: Event, name: str) -> str | None:
    told = event.get(name)
    return None if told is None else str(told)


def _count(event: Event, name: str) -> int | None:
    told = event.get(name)
    return told if isinstance(told, int) and not isinstance(told, bool) else None


def quoted(value: Any) -> str:
    """A value of a history as a message shows it: as JSON has it, and long ones shortened in the middle."""
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= SHOWN_MAX else f"{text[: SHOWN_MAX // 2]}…{text[-SHOWN_MAX // 2 :]}"
