"""What a mix is: it draws the next call of a client. A new mix is one new file, which scenarios alone name."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

__all__ = ["Ask", "Mix", "Wanted", "token_of"]

Ask = Callable[..., Any]
"""Asks the server itself, past all links: method, params → result."""


@dataclass(frozen=True)
class Wanted:
    """One call to make, and how it stands in the history (`f`, `key`, `value`).

    token: what its effect writes, once, into `key`; "": it counts on a key of its own; None: it is a read.
    told: from the result to what the history's `ok` event has as value; None: as the client has it (PROTOCOL §8).
    """

    method: str
    params: Mapping[str, Any]
    f: str
    key: str
    value: Any
    token: str | None
    told: Callable[[Mapping[str, Any]], Any] | None = field(default=None, compare=False)

    @property
    def is_read(self) -> bool:
        return self.token is None


class Mix(Protocol):
    """The calls of a scenario's clients. `seed` and name fix them: the same run again makes the same calls."""

    @property
    def total(self) -> int | None:
        """What every read of all accounts must sum up to; None where there are none."""
        ...

    def prepare(self, ask: Ask) -> None:
        """Write what must be there before the first call."""
        ...

    def call(self, name: str, rng: random.Random) -> Wanted:
        """The next call that changes something, with a token or a key of its own."""
        ...

    def read(self, rng: random.Random) -> Wanted:
        """A call that only looks."""
        ...


def token_of(name: str) -> str:
    """What the call of that name writes; no token is part of another."""
    return f"{name};"
