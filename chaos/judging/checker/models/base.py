"""What a model is: which events it knows, and what each operation does to the state of one key.

The search asks a model's `Rules` only these questions, so a new model is one new file here. A state is small, hashable,
and equal to another exactly when no operation can tell the two apart.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Protocol

from chaos.judging.checker.history import Operation, Vocabulary

__all__ = ["Model", "Rules", "State"]

State = Any  # hashable; every model has its own


class Rules(Protocol):
    """A model made ready for one key's operations."""

    @property
    def operations(self) -> Sequence[Operation]:
        """In the order of their invokes, without pending ones that cannot matter to the verdict."""

    @property
    def start(self) -> State:
        """Before all of them."""

    def step(self, operation: Operation, state: State) -> State | None:
        """The state after the operation, or None where it cannot stand here with what it was told.

        A pending operation was told nothing; None then says that it has no effect here. None may also be the answer
        when no order of the *whole* history can lead through the state after.
        """

    def violation(self, operation: Operation, state: State) -> str:
        """Why `step` says None, for a person."""

    def only_reads(self, operation: Operation) -> bool:
        """Whether it leaves every state, in which it can stand, as it is."""

    def same_effect(self, operation: Operation) -> Hashable:
        """Pending operations with equal answers have effects that nobody in this history can tell apart."""

    def describe(self, state: State) -> str:
        """The state, for a person."""


class Model(Vocabulary, Protocol):
    """A kind of object."""

    summary: str

    def rules(self, operations: Sequence[Operation]) -> Rules:
        """For the operations of one key, failed ones left out."""
