"""The key/value model (docs/protocol.md, "Methods" and "Histories"): get, put, append, increment, delete; each key by
itself; a key starts absent.

The state of a key is its version and its value. `version` counts changes since the key was created: 1 on creation, 0
when absent, so that it starts again after a delete. Every successful write is one change, also one that leaves the
value as it was; the delete of an absent key is none. `version` and `offset` are checked on every ok that has them
(a delete's version, as the key is absent then, is 0); where no reply of a key has a version, versions are not counted,
since two states that differ in nothing else are one.

What is left out before the search, and why the verdict stays: a pending get (it changes nothing, and nobody knows what
it saw); where a key is only put and read and no versions are told, a pending put whose value no later get returns
(whatever follows it in an order that holds is another put).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

from chaos.judging.checker.history import Operation, quoted
from chaos.judging.checker.models.base import Rules
from chaos.judging.checker.models.lookahead import Lookahead
from chaos.judging.checker.shared_text import Text, Texts

__all__ = ["MODEL", "Kv", "KvRules", "State"]

INT64 = range(-(2**63), 2**63)
INTEGER = re.compile(r"-?[0-9]+", re.ASCII)
DIGITS_MAX = 19


class State(NamedTuple):
    """One key. value: None when absent. version: 0 throughout where no reply tells versions."""

    version: int
    value: Text | None


Outcome = State | Callable[[], str]  # what comes after, or why nothing can


class Kv:
    """The vocabulary of the model, and its rules for one key."""

    name = "kv"
    summary = "get, put, append, increment and delete, each key by itself"
    functions = frozenset({"get", "put", "append", "increment", "delete"})
    needs_key = True

    def argument_problem(self, f: str, value: Any) -> str | None:
        if f in ("put", "append") and not isinstance(value, str):
            return "it must be the string that is written"
        if f == "increment" and not _is_integer(value):
            return "it must be the step, an integer"
        return None

    def result_problem(self, f: str, value: Any) -> str | None:
        if f == "get" and not isinstance(value, str | None):
            return "it must be the string that was read, or null for an absent key"
        if f == "increment" and not _is_integer(value):
            return "it must be the new integer"
        if f == "delete" and not isinstance(value, bool):
            return "it must be true or false: whether the key was there"
        return None

    def rules(self, operations: Sequence[Operation]) -> Rules:
        return KvRules(operations)


class KvRules:
    """What may happen to one key."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self._texts = Texts()
        self._functions = {operation.f for operation in operations if operation.f != "get" or not operation.is_pending}
        self._counted = any(operation.version is not None for operation in operations)
        self._gets = [operation for operation in operations if operation.f == "get" and not operation.is_pending]
        self._read = {get.result for get in self._gets}
        self.operations = [operation for operation in operations if not self._is_irrelevant(operation)]
        self.start = State(0, None)
        self._foresight = self._foreseen()
        self._log, self._offsets = self._logged()
        self._apply: dict[str, Callable[[Operation, State], Outcome]] = {
            "get": self._get,
            "put": self._put,
            "append": self._append,
            "increment": self._increment,
            "delete": self._delete,
        }

    def step(self, operation: Operation, state: State) -> State | None:
        outcome = self._apply[operation.f](operation, state)
        return outcome if isinstance(outcome, State) else None

    def violation(self, operation: Operation, state: State) -> str:
        outcome = self._apply[operation.f](operation, state)
        assert not isinstance(outcome, State), "there is a violation only where step says None"
        return outcome()

    def only_reads(self, operation: Operation) -> bool:
        return operation.f == "get" or (operation.f == "delete" and operation.result is False)

    def same_effect(self, operation: Operation) -> Hashable:
        if (
            operation.f == "put"
            and self._functions <= {"get", "put", "delete"}
            and operation.argument not in self._read
        ):
            return "put of what nobody reads"
        if operation.f == "append" and self._functions == {"append"}:
            return "append", len(operation.argument)
        return operation.f, operation.argument

    def describe(self, state: State) -> str:
        if state.value is None:
            return "absent"
        return quoted(str(state.value)) + (f", version {state.version}" if self._counted else "")

    # --- what each function does -------------------------------------------------------------------------------------

    def _get(self, operation: Operation, state: State) -> Outcome:
        told = None if operation.result is None else self._texts.of(operation.result)
        if told is not state.value:
            return lambda: f"it read {quoted(operation.result)}, but the key is {self.describe(state)}"
        if operation.version is not None and operation.version != state.version:
            return lambda: f"it read version {operation.version}, but the version is {state.version}"
        return state

    def _put(self, operation: Operation, state: State) -> Outcome:
        return self._changed(operation, state, self._texts.of(operation.argument))

    def _append(self, operation: Operation, state: State) -> Outcome:
        length = state.value.length if state.value else 0
        piece = operation.argument
        if operation.offset is not None and operation.offset != length:
            return lambda: f"it was told offset {operation.offset}, but the value is {length} characters long"
        if not piece.startswith(self._log[length : length + len(piece)]):
            return lambda: f"it would put {quoted(piece)} at offset {length}, where a read saw something else"
        if piece and self._offsets.get(length, operation) is not operation:
            return lambda: f"it would stand at offset {length}, which another append was told is its own"
        grown = self._texts.append(state.value, piece) if state.value else self._texts.of(piece)
        return self._changed(operation, state, grown)

    def _increment(self, operation: Operation, state: State) -> Outcome:
        present = 0 if state.value is None else _integer(state.value)
        after = None if present is None else present + operation.argument
        if after is None or after not in INT64:
            return lambda: f"the key is {self.describe(state)}: not an integer, or the sum is over 64 bits"
        if not operation.is_pending and operation.result != after:
            return lambda: f"it was told {operation.result}, but would make {after}"
        return self._changed(operation, state, self._texts.of(str(after)))

    def _delete(self, operation: Operation, state: State) -> Outcome:
        if not operation.is_pending and operation.result != (state.value is not None):
            was = "was" if operation.result else "was not"
            return lambda: f"it was told that the key {was} there, but the key is {self.describe(state)}"
        if operation.version:
            return lambda: f"it was told version {operation.version}, but an absent key has version 0"
        return self.start

    def _changed(self, operation: Operation, state: State, value: Text) -> Outcome:
        version = state.version + 1 if self._counted else 0
        if operation.version is not None and operation.version != version:
            return lambda: f"it was told version {operation.version}, but would make version {version}"
        return self._foresight.violation(operation, version, value, value.length) or State(version, value)

    # --- what is known beforehand ------------------------------------------------------------------------------------

    def _is_irrelevant(self, operation: Operation) -> bool:
        if not operation.is_pending or operation.f == "get":
            return operation.is_pending
        if self._counted or operation.f != "put" or not self._functions <= {"get", "put"}:
            return False
        return not any(get.result == operation.argument and not _is_before(get, operation) for get in self._gets)

    def _foreseen(self) -> Lookahead:
        deletes = any(operation.f == "delete" and operation.result is not False for operation in self.operations)
        lookahead = Lookahead(once=not deletes)
        for operation in self.operations:
            if operation.is_pending or operation.f == "delete":
                continue
            if operation.f != "get":
                lookahead.made(operation)
            if operation.f != "append":
                told = {"get": operation.result, "put": operation.argument}.get(operation.f, str(operation.result))
                lookahead.saw(operation.version, None if told is None else self._texts.of(told))
            elif operation.version is not None:
                lookahead.measured(operation.version - 1, operation.offset)
        return lookahead

    def _logged(self) -> tuple[str, dict[int, Operation]]:
        """Of a key that is only appended to: the longest value read, and whose each told offset is."""
        if not self._functions <= {"get", "append"}:
            return "", {}
        log = max((value for value in self._read if value is not None), key=len, default="")
        completed = (operation for operation in self.operations if operation.f == "append" and operation.argument)
        return log, {operation.offset: operation for operation in completed if operation.offset is not None}


def _is_before(first: Operation, second: Operation) -> bool:
    return first.completed is not None and first.completed < second.invoked


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _integer(text: Text) -> int | None:
    """The 64-bit integer that the characters are, or None. Leading zeros do not count."""
    digits = str(text)
    if not INTEGER.fullmatch(digits):
        return None
    sign, digits = ("-", digits[1:]) if digits.startswith("-") else ("", digits)
    digits = digits.lstrip("0") or "0"
    if len(digits) > DIGITS_MAX:
        return None
    number = int(sign + digits)
    return number if number in INT64 else None


MODEL = Kv()
