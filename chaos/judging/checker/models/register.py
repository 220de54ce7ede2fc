"""The register model (docs/protocol.md, "Histories"): read, write, cas [old, new]; it starts null; a key is allowed
and not needed.

A cas that is ok has swapped; one that failed has not, and nothing else follows from it: it may have been refused
before anybody compared. `version`, where a reply has one, counts writes and swaps from 0.

What is left out before the search, and why the verdict stays: a pending read; where no versions are told, a pending
write or cas whose value no later read returns and no cas expects (what follows it in an order that holds is a write).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

from chaos.judging.checker.history import Operation, quoted
from chaos.judging.checker.models.base import Rules
from chaos.judging.checker.models.lookahead import Lookahead

__all__ = ["MODEL", "Register", "RegisterRules", "State"]


class State(NamedTuple):
    """value: as JSON text, since Python takes 1 for true. version: 0 throughout where no reply tells versions."""

    version: int
    value: str


Outcome = State | Callable[[], str]  # what comes after, or why nothing can


class Register:
    """The vocabulary of the model, and its rules for one register."""

    name = "register"
    summary = "read, write and cas [old, new]"
    functions = frozenset({"read", "write", "cas"})
    needs_key = False

    def argument_problem(self, f: str, value: Any) -> str | None:
        if f == "cas" and not (isinstance(value, list | tuple) and len(value) == 2):
            return "it must be [old, new]"
        return None

    def result_problem(self, f: str, value: Any) -> str | None:  # noqa: ARG002  (a register holds any JSON value)
        return None

    def rules(self, operations: Sequence[Operation]) -> Rules:
        return RegisterRules(operations)


class RegisterRules:
    """What may happen to one register."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self._counted = any(operation.version is not None for operation in operations)
        self.operations = self._relevant(operations)
        self._observed = _observed(self.operations)
        self.start = State(0, _json(None))
        self._foresight = self._foreseen()

    def step(self, operation: Operation, state: State) -> State | None:
        outcome = self._outcome(operation, state)
        return outcome if isinstance(outcome, State) else None

    def violation(self, operation: Operation, state: State) -> str:
        outcome = self._outcome(operation, state)
        assert not isinstance(outcome, State), "there is a violation only where step says None"
        return outcome()

    def only_reads(self, operation: Operation) -> bool:
        return operation.f == "read"

    def same_effect(self, operation: Operation) -> Hashable:
        expected = _json(operation.argument[0]) if operation.f == "cas" else None
        written = _written(operation)
        return operation.f, expected, written if written in self._observed else "what nobody observes"

    def describe(self, state: State) -> str:
        return state.value + (f", version {state.version}" if self._counted else "")

    def _outcome(self, operation: Operation, state: State) -> Outcome:
        if operation.f == "read":
            return self._read(operation, state)
        if operation.f == "cas" and _json(operation.argument[0]) != state.value:
            return lambda: f"it swaps {quoted(operation.argument[0])}, but the register is {self.describe(state)}"
        version = state.version + 1 if self._counted else 0
        if operation.version is not None and operation.version != version:
            return lambda: f"it was told version {operation.version}, but would make version {version}"
        value = _written(operation)
        return self._foresight.violation(operation, version, value) or State(version, value)

    def _read(self, operation: Operation, state: State) -> Outcome:
        if _json(operation.result) != state.value:
            return lambda: f"it read {quoted(operation.result)}, but the register is {self.describe(state)}"
        if operation.version is not None and operation.version != state.version:
            return lambda: f"it read version {operation.version}, but the version is {state.version}"
        return state

    def _relevant(self, operations: Sequence[Operation]) -> list[Operation]:
        kept = [operation for operation in operations if not (operation.is_pending and operation.f == "read")]
        if self._counted:
            return kept
        while True:  # each round drops an operation or is the last: a dropped cas no longer expects anything
            observers = [operation for operation in kept if operation.f != "write"]
            relevant = [o for o in kept if not o.is_pending or _is_observed(o, observers)]
            if len(relevant) == len(kept):
                return kept
            kept = relevant

    def _foreseen(self) -> Lookahead:
        lookahead = Lookahead(once=True)
        for operation in self.operations:
            if operation.is_pending:
                continue
            if operation.f != "read":
                lookahead.made(operation)
            lookahead.saw(operation.version, _json(operation.result) if operation.f == "read" else _written(operation))
        return lookahead


def _is_observed(operation: Operation, observers: Sequence[Operation]) -> bool:
    written = _written(operation)
    return any(
        _wants(other) == written
        for other in observers
        if other is not operation and (other.completed is None or other.completed > operation.invoked)
    )


def _observed(operations: Sequence[Operation]) -> set[str]:
    return {_wants(operation) for operation in operations if operation.f != "write"}


def _wants(observer: Operation) -> str:
    """The value without which a read or cas cannot stand."""
    return _json(observer.result if observer.f == "read" else observer.argument[0])


def _written(operation: Operation) -> str:
    return _json(operation.argument[1] if operation.f == "cas" else operation.argument)


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


MODEL = Register()
