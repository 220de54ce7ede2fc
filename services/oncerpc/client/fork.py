"""One client, one process: what a child gets by `os.fork` shares nothing with its parent, and no client is copied.

A fork copies sockets, seqs and locks. Two processes that went on with them would give one identity to two calls, read
each other's replies, and wait for locks of threads that only the parent has. So in the child, before any of its code
runs, whoever is watched lets go of the parent's things and makes its own; there is one thread then, so no lock is
asked for. That costs a call nothing, where a look at the process's id would cost it a system call, and it closes the
child's copies of the sockets at once, so that the server sees when the parent closes its own.

Place on the way: beside it. Limits: a process that C code forks without telling Python (PyOS_AfterFork_Child) is not
seen; Python itself does not work there. A fork in the middle of a call (out of a signal handler) ends the child's copy
of that call, and the parent's goes on.
"""

from __future__ import annotations

import os
from typing import Any, NoReturn, Protocol
from weakref import WeakSet

__all__ = ["Forked", "Uncopied", "watch"]


class Forked(Protocol):
    """Something that a child must not share."""

    def after_fork(self) -> None:
        """Runs in the child alone, which has one thread. Takes no lock, and does not fail."""


class Uncopied:
    """Refuses copy.copy, copy.deepcopy and pickling, multiprocessing's among them: a copy would use the same seqs."""

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        name = type(self).__name__
        raise TypeError(f"a {name} can be neither copied nor pickled; make a client in each process with connect(...)")


_watched: WeakSet[Any] = WeakSet()


def watch(one: Forked) -> None:
    """From now on it is told of forks, as long as it lives."""
    _watched.add(one)


def _after_fork() -> None:
    for one in list(_watched):
        one.after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_after_fork)
