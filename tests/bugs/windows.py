"""Where a failpoint stands in the order of a bug's author.

A bug that commits twice, or answers too early, opens a window that the product does not have. The scenario's crash must
fall into it, so the product's own failpoint `after_execute` (effect done, not all committed) is moved there.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from oncekv.server.engine.committer import Committer
from oncekv.server.engine.storage.base import Changes
from oncekv.server.engine.storage.sqlite_queries import SqliteView
from oncerpc.server.rpc.call import Call
from tests.bugs.base import replaced

__all__ = ["after_execute_moved", "in_two_commits"]


@contextlib.contextmanager
def after_execute_moved() -> Iterator[Callable[[], None]]:
    """`after_execute` is passed where the function that this hands out is called, by all calls that ran until then."""
    waiting: deque[Callable[[], None]] = deque()
    real_pass = Committer._pass

    def put_off(self: Committer, failpoint: Any, call: Call) -> None:
        if failpoint == "after_execute":
            waiting.append(partial(real_pass, self, failpoint, call))
        else:
            real_pass(self, failpoint, call)

    def here() -> None:
        while waiting:
            waiting.popleft()()

    with replaced(Committer, _pass=put_off):
        yield here


@contextlib.contextmanager
def in_two_commits(split: Callable[[Changes], tuple[Changes, Changes]]) -> Iterator[None]:
    """A group's changes in two transactions, one after the other, and `after_execute` between them."""
    real_apply = SqliteView.apply

    with after_execute_moved() as between:

        def apply(self: SqliteView, changes: Changes) -> None:
            first, second = split(changes)
            real_apply(self, first)
            self._execute("COMMIT")
            between()
            self._execute("BEGIN IMMEDIATE")
            real_apply(self, second)

        with replaced(SqliteView, apply=apply):
            yield
