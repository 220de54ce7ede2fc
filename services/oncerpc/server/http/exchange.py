"""An exchange: one request that arrived whole, until its reply; here the two server models part, and meet again.

    threads      answer   every step of dispatch on the connection's own thread, which waits for the committer
    event loop   start    a step that needs the committer is left there and comes back as a callback; one that may
                          wait for the store is done elsewhere, and comes back too

Both are entered in `running`, so that a drain knows when the last is answered and the watchdog when one stands.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol

from oncerpc.server.config import Config
from oncerpc.server.http import endpoint
from oncerpc.server.http.endpoint import HttpError, HttpReply
from oncerpc.server.log import log
from oncerpc.server.rpc.call import BaseCommitter, Submission
from oncerpc.server.rpc.dispatcher import MAY_WAIT, Answer, Caller, Commit, Dispatcher, KeyMisplaced, Step
from oncerpc.server.watchdog import RequestsInFlight

__all__ = ["BODY_BYTES_LARGE", "Exchange", "Scheduler", "ServerContext"]

BODY_BYTES_LARGE = 64 * 1024
"""From here on decoding a body, and encoding what it asked for, takes so long that it counts as waiting."""

Work = Callable[[], object]


class Scheduler(Protocol):
    """Where a callback may be sent, from any thread."""

    def on_loop(self, work: Work) -> object:
        """Soon, on the thread that must never wait."""
        ...

    def in_thread(self, work: Work) -> object:
        """On one of a few threads that may wait."""
        ...

    def read(self, work: Work) -> object:
        """From the loop to such a thread, together with all that the loop finds meanwhile; short, as a rule."""
        ...

    def commit(self, waiting: Submission) -> object:
        """From the loop to the committer, together with all that the loop finds meanwhile."""
        ...


class ServerContext(NamedTuple):
    """What exchanges are served with; one for each worker."""

    config: Config
    dispatch: Dispatcher
    committer: BaseCommitter
    running: RequestsInFlight


class Exchange:
    """One request's way. Never raises: what fails is answered."""

    __slots__ = ("_context", "_done", "_is_large", "_keyed", "_scheduler", "_steps")

    def __init__(self, served: ServerContext, body: bytes, caller: Caller) -> None:
        self._context = served
        self._steps = served.dispatch.steps(body, caller)
        self._keyed = caller.key is not None
        self._is_large = len(body) >= BODY_BYTES_LARGE

    def answer(self) -> HttpReply:
        """The reply, on this thread, which waits as long as it takes."""
        self._context.running.enter(self)
        try:
            for step in self._steps:
                if isinstance(step, Commit):
                    self._context.committer.run(step.calls, step.size)
                elif step is not MAY_WAIT:
                    return endpoint.reply(step, keyed=self._keyed)
            raise AssertionError("the last step is the answer")
        except Exception as error:
            return _failure(error)
        finally:
            self._context.running.leave(self)

    def start(self, done: Callable[[HttpReply], object], scheduler: Scheduler) -> None:
        """Returns at once; `done` gets the reply, on the loop, and never before this has returned."""
        self._done, self._scheduler = done, scheduler
        self._context.running.enter(self)
        if self._is_large:
            scheduler.in_thread(self._go_on_elsewhere)
            return
        step = self._next()
        if isinstance(step, HttpReply):
            scheduler.on_loop(partial(self._end, step))
        else:
            self._leave(step)

    def _go_on(self) -> None:
        """On the loop, called back: up to the next step that may wait, or to the end."""
        step = self._next()
        if isinstance(step, HttpReply):
            self._end(step)
        else:
            self._leave(step)

    def _leave(self, step: Step) -> None:
        if isinstance(step, Commit):
            self._scheduler.commit(self._waiting(step))
        else:
            self._scheduler.read(self._go_on_elsewhere)

    def _go_on_elsewhere(self) -> None:
        """On a thread that may wait: up to the committer, or to the end."""
        while (step := self._next()) is MAY_WAIT:
            pass
        if isinstance(step, HttpReply):
            self._scheduler.on_loop(partial(self._end, step))
        else:
            assert isinstance(step, Commit)
            self._context.committer.submit([self._waiting(step)])

    def _waiting(self, step: Commit) -> Submission:
        return Submission(step.calls, step.size, self._committed)

    def _committed(self) -> None:
        """On the writer's thread, which has better things to do."""
        if self._is_large:
            self._scheduler.in_thread(self._go_on_elsewhere)
        else:
            self._scheduler.on_loop(self._go_on)

    def _end(self, reply: HttpReply) -> None:
        self._context.running.leave(self)
        self._done(reply)

    def _next(self) -> Step | HttpReply:
        try:
            step = next(self._steps)
            return endpoint.reply(step, keyed=self._keyed) if isinstance(step, Answer) else step
        except Exception as error:
            return _failure(error)


def _failure(error: Exception) -> HttpReply:
    if isinstance(error, KeyMisplaced):
        return HttpError("400 Bad Request", str(error)).reply()
    log.error("a request failed", exc_info=error)
    return endpoint.failed()
