"""Where calls wait for the committer (step 7): bounded, and by turns, so that a deep batch cannot starve the others.

Limit: over the bounds of `config` (calls, bytes) a call is refused with `overloaded` before anything of it has begun.
So is a copy of a call that waits already, once the queue is half full: one call's retries leave room for others.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import chain

from oncekv.server.engine.group_size import GroupRoom
from oncerpc.server.config import Config
from oncerpc.server.dedup.base import IdempotencyKey
from oncerpc.server.rpc.call import Call, Submission
from oncerpc.wire.errors import Overloaded

__all__ = ["SHARE_MAX", "CallQueue", "Ticket"]

SHARE_MAX = 32
"""Calls of one request in a row."""
Identity = tuple[str | None, int] | IdempotencyKey | None


class Ticket:
    """Those calls of a request that were admitted, and how many of them are in a group already."""

    __slots__ = ("calls", "done", "size", "taken")

    def __init__(self, calls: Sequence[Call], size: int, done: Callable[[], object]) -> None:
        self.calls = calls
        self.size = size
        self.taken = 0
        self.done = done


class CallQueue:
    """Filled from any thread, emptied by one."""

    def __init__(self, config: Config, group_ops_max: int | None) -> None:
        """`group_ops_max`: how many operations the store takes in one transaction; None is any number."""
        self._config = config
        self._group_ops_max = group_ops_max
        self._tickets: deque[Ticket] = deque()
        self._waiting = 0
        self._waiting_bytes = 0
        self._identities: set[Identity] | None = None
        """Of the calls that wait; None: not gathered since the last group was taken."""
        self._changed = threading.Condition()
        self._is_closed = False

    def close(self) -> None:
        """Refuse what comes from now on; what waits is still taken."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()

    def put(self, requests: Iterable[Submission]) -> None:
        """Admit their calls as far as there is room, and answer the others; a request without any is done."""
        refused = []
        with self._changed:
            for request in requests:
                if not self._enter(request):
                    refused.append(request)
            self._changed.notify()
        for request in refused:
            request.done()

    def take(self, wait_s: float) -> tuple[list[Call], list[Ticket]] | None:
        """The next group and the requests that it completes, both empty after `wait_s`; None: closed, and empty."""
        with self._changed:
            if not self._tickets:
                if self._is_closed:
                    return None
                self._changed.wait(wait_s)
            return self._next_group()

    def _enter(self, request: Submission) -> bool:
        """Whether any of its calls was admitted; the others are answered."""
        calls, size, done = request
        room = max(0, self._config.queue_max - self._waiting)
        if self._is_closed or (self._waiting and self._waiting_bytes + size > self._config.queue_bytes_max):
            room = 0
        if room and 2 * self._waiting >= self._config.queue_max > 1:
            calls = self._without_copies(calls)
        admitted = calls[:room]
        if admitted:
            self._tickets.append(Ticket(admitted, size, done))
            self._waiting += len(admitted)
            self._waiting_bytes += size
        for call in calls[room:]:
            call.fail(Overloaded())
        return bool(admitted)

    def _without_copies(self, calls: Sequence[Call]) -> Sequence[Call]:
        """Those that do not wait already; the others are answered."""
        if self._identities is None:
            waiting = chain.from_iterable(ticket.calls[ticket.taken :] for ticket in self._tickets)
            self._identities = {_identity(call) for call in waiting}
        admitted = []
        for call in calls:
            identity = _identity(call)
            if identity is not None and identity in self._identities:
                call.fail(Overloaded())
            else:
                self._identities.add(identity)
                admitted.append(call)
        return admitted

    def _next_group(self) -> tuple[list[Call], list[Ticket]]:
        """By turns from every request that waits."""
        self._identities = None
        calls: list[Call] = []
        finished: list[Ticket] = []
        room = GroupRoom(self._group_ops_max)
        while self._tickets and len(calls) < self._config.group_max and not room.is_full:
            ticket = self._tickets.popleft()
            share = min(SHARE_MAX, self._config.group_max - len(calls))
            taken = room.take(ticket.calls[ticket.taken : ticket.taken + share])
            calls += taken
            ticket.taken += len(taken)
            if room.is_full:
                self._tickets.appendleft(ticket)  # the next group begins with it, so it cannot be passed over for ever
            elif ticket.taken < len(ticket.calls):
                self._tickets.append(ticket)
            else:
                finished.append(ticket)
                self._waiting_bytes -= ticket.size
        self._waiting -= len(calls)
        return calls, finished


def _identity(call: Call) -> Identity:
    seq = call.meta.seq
    return call.key if seq is None else (call.meta.session, seq)
