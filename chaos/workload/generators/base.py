"""What a generator is: it draws the next call of a client. A new generator is one new file, which scenarios alone
name.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

__all__ = ["Generator", "Operation", "Request", "token_of"]

Operation = tuple[str, str, Any]
"""`f`, `key` and `value`, as an invocation stands in a history (docs/protocol.md, "Histories")."""


@dataclass(frozen=True)
class Request:
    """One call to make. token: what its effect writes, once, into `key`; "": it counts on a key of its own; None: it is
    a read. does: its operations, where the params do not say them.
    """

    method: str
    params: Mapping[str, Any]
    key: str
    token: str | None
    does: tuple[Operation, ...] = ()

    @property
    def is_read(self) -> bool:
        return self.token is None

    def operations(self) -> Iterator[Operation]:
        """What it does, key by key: several operations where it is a transaction."""
        if self.does:
            yield from self.does
            return
        for op in self.params.get("ops", [self.params]):
            f = op.get("op", self.method.removeprefix("kv."))
            yield f, op["key"], op.get("by", 1) if f == "increment" else op.get("value")


class Generator(Protocol):
    """The calls of a scenario's clients. The lane's `rng` fixes them: the same run again makes the same calls."""

    @property
    def initial(self) -> Mapping[str, str]:
        """What is in the store before the first call."""
        ...

    @property
    def accounts(self) -> Sequence[str]:
        """Keys whose numbers always sum up to the same, if there are such; a read reads them all, in this order."""
        ...

    def call(self, name: str, rng: random.Random) -> Request:
        """The next call that changes something, with a token or a key of its own."""
        ...

    def read(self, rng: random.Random) -> Request:
        """A call that only looks."""
        ...


def token_of(name: str) -> str:
    """What the call of that name writes; no token is part of another."""
    return f"{name};"
