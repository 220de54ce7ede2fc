"""The reply is sent before the commit. "fsync every 20 ms and not for every group; the reply need not wait for the
disk." It looks right, for the effect is there for every later write, and the figures are splendid.

It breaks durability: a crash in these 20 ms takes back what clients were told was done.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from oncekv.server.engine.call_queue import CallQueue, Ticket
from oncekv.server.engine.committer import Committer
from oncekv.server.engine.storage.staged import Group
from oncerpc.server.rpc.call import Call
from tests.bugs.base import Bug, replaced
from tests.bugs.windows import after_execute_moved

DISK_S = 0.02
real_take, real_run_group, real_finish = CallQueue.take, Committer._run_group, Group.finish


@contextlib.contextmanager
def plant() -> Iterator[None]:
    """Replies leave as soon as the calls have run; the commit comes later, and `after_execute` in between."""
    with after_execute_moved() as after_reply, _replies_first(after_reply):
        yield


@contextlib.contextmanager
def _replies_first(after_reply: Callable[[], None]) -> Iterator[None]:
    ready: list[Ticket] = []

    def take(self: CallQueue, wait_s: float) -> tuple[list[Call], list[Ticket]] | None:
        group = real_take(self, wait_s)
        if group is None:
            return None
        calls, finished = group
        ready.extend(finished)
        return calls, []

    def answer() -> None:
        while ready:
            ready.pop().done()

    def finish(self: Group, clock_ms: int, *, save_clock: bool) -> None:
        real_finish(self, clock_ms, save_clock=save_clock)
        if ready:
            answer()
            time.sleep(DISK_S)
        after_reply()

    def run_group(self: Committer, calls: Sequence[Call], **options: Any) -> None:
        real_run_group(self, calls, **options)
        answer()  # a group that failed never came as far

    with replaced(CallQueue, take=take), replaced(Committer, _run_group=run_group), replaced(Group, finish=finish):
        yield


BUG = Bug(
    number=13,
    name="reply-before-commit",
    side="server",
    breaks="no reply leaves before its effect is durable",
    caught_by=(("crash-after-execute", "at-most-once"),),
    plant=plant,
)
