"""What later replies already say about a version: its value, its length, and whose work it was.

Where nothing is ever deleted, each version of a key exists once. If a reply told what version 7 held, then an order
whose seventh change makes anything else need not be followed to where that reply blocks it. Without this, twenty
writes whose replies were lost cost a search through their subsets; with it, most are refused where they are tried.

Sound, as only replies are used that every order has to honour: an order that is refused here would fail later.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

from chaos.judging.checker.history import Operation

__all__ = ["Lookahead"]


class Lookahead:
    """Facts by version. `once`: whether a version can exist only once; without it, nothing is known ahead."""

    def __init__(self, *, once: bool) -> None:
        self._once = once
        self._values: dict[int, Hashable] = {}
        self._lengths: dict[int, int] = {}
        self._makers: dict[int, Operation] = {}

    def saw(self, version: int | None, value: Hashable) -> None:
        """A reply told what that version was."""
        if self._once and version is not None:
            self._values.setdefault(version, value)

    def measured(self, version: int | None, length: int | None) -> None:
        """A reply told how long the value was at that version."""
        if self._once and version is not None and length is not None:
            self._lengths.setdefault(version, length)

    def made(self, operation: Operation) -> None:
        """An operation was told that it made its version."""
        if self._once and operation.version is not None:
            self._makers.setdefault(operation.version, operation)

    def violation(
        self, operation: Operation, version: int, value: Hashable, length: int = 0
    ) -> Callable[[], str] | None:
        """Why this operation cannot make this version, or None."""
        maker = self._makers.get(version, operation)
        if maker is not operation:
            return lambda: f"it would make version {version}, which {maker.f} of line {maker.invoked} was told is its"
        if version in self._values and self._values[version] != value:
            return lambda: f"it would make version {version}, but another reply saw another value at that version"
        known = self._lengths.get(version, length)
        if known != length:
            return lambda: f"it would make version {version} {length} characters long, and an append there saw {known}"
        return None
