"""What a planted bug is: its name, the side that it sits on, the scenarios that must catch it, and how it is put in."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal
from unittest import mock

from chaos.runtime.base import Serving
from oncekv import cli

__all__ = ["Bug", "Plants", "planted_command", "replaced", "serve_planted"]


@dataclass(frozen=True)
class Bug:
    """One bug. `breaks`: the promise that does not hold any more, in words.

    side: where it is planted; one in the library is hunted in the bank, on SQLite. store: the one that its servers
    stand on, by its name in `--store`.

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
    store: str = Serving.store

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


Plants = Mapping[str, Callable[[], AbstractContextManager[object]]]
"""By name: what puts a bug into this process and takes it out again."""


def planted_command(module: str, name: str) -> list[str]:
    """The words to start a server with, before `serve`, in which that bug of a module's is planted."""
    return [sys.executable, "-m", module, name]


def serve_planted(plants: Plants) -> int:
    """`python -m MODULE NAME serve …`: plant it, then be `oncekv`; the exit code."""
    with plants[sys.argv[1]]():
        return cli.main(sys.argv[2:])
