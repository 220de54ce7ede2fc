"""What a planted bug is: its name, the side that it sits on, the scenarios that must catch it, and how it is put in."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal
from unittest import mock

__all__ = ["Bug", "replaced"]


@dataclass(frozen=True)
class Bug:
    """One bug. `breaks`: the promise that does not hold any more, in words.

    side: where it is planted; one in the library is hunted in the bank, on SQLite.

    caught_by: pairs of scenario and column, in the order in which they are tried. plant: puts it into this process and
    takes it out again. tries_max: how many seeds each pair gets, where the bug needs an interleaving of its own.
    calls: of each client.
    """

    number: int
    name: str
    side: Literal["server", "client", "library"]
    breaks: str
    caught_by: tuple[tuple[str, str], ...]
    plant: Callable[[], AbstractContextManager[object]]
    tries_max: int = 3
    calls: int = 25

    @property
    def service(self) -> str:
        """The service that it is hunted in, of `chaos.services`."""
        return "bank" if self.side == "library" else "kv"


@contextlib.contextmanager
def replaced(owner: object, **components: Any) -> Iterator[None]:
    """`owner`, a class or a module of the product, with other parts of these names."""
    with contextlib.ExitStack() as stack:
        for name, part in components.items():
            stack.enter_context(mock.patch.object(owner, name, part))
        yield
