"""The committer (step 7): many calls, one transaction, and only then the replies.

One writer thread takes the calls that wait, lets each through the delivery's gate, runs it on an effect of its own, and
commits the group once. A call that fails fails alone. Because one writer at a time holds the store, a duplicate of
a call that is still running waits behind it and then finds its record: no table of running calls is needed.

A store that other servers write too may give a group up for one of theirs. Then all of it is run again, in bounds, by
calls that begin anew; over the bound they are refused, since nothing of them stayed.

Guarantee: no reply leaves before the commit that holds its effect and record; after a failed commit every call of
the group is told `internal_error`, which is indefinite, and while the store cannot be written, `overloaded`: nothing
has begun.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from oncekv.server.engine.call_queue import CallQueue
from oncekv.server.engine.group_size import foreseen
from oncekv.server.engine.storage.base import Store, StoreConflict, StoreFailed, StoreOverLimit, StoreRefused
from oncekv.server.engine.storage.staged import Effect, Group
from oncekv.server.engine.storage.writer_cache import WriterCache
from oncerpc.server.failpoints import Dropped
from oncerpc.server.log import StateLog, end_server, log
from oncerpc.server.rpc.call import BaseCommitter, Call, Submission, Watch
from oncerpc.server.rpc.components import Components
from oncerpc.server.rpc.method import Context, MethodKind
from oncerpc.wire.errors import ApplicationError, InternalError, KnownError, Overloaded, RpcError, TooLarge
from oncerpc.wire.jsonrpc import Reply, failure, mark_replayed, success

__all__ = ["Committer"]

TICK_S = 0.2
SWEEP_PAUSE_S = 1.0
CONFLICTS_MAX = 12
BACKOFF_MAX_S = 0.25
_OF_THE_GROUP = (StoreConflict, StoreOverLimit, StoreRefused, StoreFailed)


class Committer(BaseCommitter):
    """The one writer of this server."""

    def __init__(self, components: Components[Store]) -> None:
        self._facts = components.facts
        self._failpoints = components.facts.failpoints
        self._store = components.store
        self._gate = components.delivery
        self._clock = components.clock
        self._metrics = components.metrics
        self._monotonic_s = components.monotonic_s
        self._cache = WriterCache()
        self._queue = CallQueue(components.config, components.store.group_ops_max)
        self._failing = False
        """The store broke off the last write: until one succeeds that no call waits for, none is run."""
        self._too_large: TooLarge | None = None
        """Set while a call is refused for which the store has no room in a transaction."""
        self._trouble = StateLog("the store takes writes again")
        self._sweep_at_s = self._clock_at_s = components.monotonic_s()
        self._thread = threading.Thread(target=self._work, name="committer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def listen(self, watch: Watch | None) -> None:
        """All is answered in this process."""

    def stop(self) -> None:
        """Commit all that waits, then end; the lease clock is saved to the millisecond."""
        self._queue.close()
        self._thread.join()
        self._run_group([], save_clock=True)

    def submit(self, requests: Iterable[Submission]) -> None:
        self._queue.put(requests)

    def _work(self) -> None:
        try:
            self._loop()
        except BaseException:
            end_server("the committer failed")

    def _loop(self) -> None:
        while group := self._queue.take(TICK_S):
            calls, finished = group
            now_ms = self._clock.now_ms()
            if calls or self._monotonic_s() >= self._sweep_at_s or self._others_wait_for_clock(now_ms):
                self._run_group(calls)
            for ticket in finished:
                ticket.done()

    def _others_wait_for_clock(self, now_ms: int) -> bool:
        """Whether the clock is to be saved although nothing else is to be done; not at every tick where that fails."""
        pace_ms = self._store.clock_pace_ms
        if pace_ms is None or self._monotonic_s() < self._clock_at_s:
            return False
        self._clock_at_s = self._monotonic_s() + TICK_S
        return self._clock.save_is_due(now_ms, idle=True, pace_ms=pace_ms)

    def _run_group(self, calls: Sequence[Call], *, save_clock: bool = False) -> None:
        if self._failing and calls:
            self._commit([], save_clock=True)  # a write for which nobody waits, before those that somebody waits for
        self._commit_in_portions(calls, save_clock=save_clock or self._failing)
        if calls:
            self._count(calls)
            if self._store.group_ops_max is not None and self._monotonic_s() >= self._sweep_at_s:
                self._commit([], save_clock=False)  # where room is scarce, what has run out goes by itself

    def _commit_in_portions(self, calls: Sequence[Call], *, save_clock: bool) -> None:
        """One transaction, or as many as the store needs for them; no call is ever in two."""
        try:
            self._commit(calls, save_clock=save_clock)
        except StoreOverLimit as error:
            if len(calls) > 1:
                half = len(calls) // 2
                self._commit_in_portions(calls[:half], save_clock=save_clock)
                self._commit_in_portions(calls[half:], save_clock=save_clock)
            else:
                self._refuse_too_large(calls, str(error))

    def _refuse_too_large(self, calls: Sequence[Call], why: str) -> None:
        """The one call that no transaction of the store can hold: that is its reply, and it is recorded as one."""
        self._too_large = TooLarge(why)
        try:
            self._commit(calls, save_clock=False)
        except StoreOverLimit as error:
            log.error("the store does not even take the record of a refusal: %s", error)
            self._fail_all(calls, InternalError)
        finally:
            self._too_large = None

    def _commit(self, calls: Sequence[Call], *, save_clock: bool) -> None:
        """One transaction. While the store fails no call is run, so what fails then is refused, and definite.

        Raises StoreOverLimit: nothing was done, and the calls may begin again.
        """
        refusing = self._failing and bool(calls)
        told = self._written(calls, save_clock=save_clock, refusing=refusing)
        self._gate.transaction_ended(committed=told is None)
        if told is not None:
            self._clock_at_s = self._monotonic_s() + SWEEP_PAUSE_S
            self._fail_all(calls, told)
            self._cache.forget()
        elif not refusing:
            self._failing = False
            self._trouble.ends()

    def _written(self, calls: Sequence[Call], *, save_clock: bool, refusing: bool) -> type[KnownError] | None:
        """What its calls are told where it came to nothing."""
        try:
            self._write(calls, save_clock=save_clock)
        except StoreOverLimit:
            self._begin_again(calls)
            raise
        except StoreRefused as error:
            self._trouble.begins(f"writes are refused: {error}")
            return Overloaded
        except StoreFailed as error:
            self._failing = True
            self._trouble.begins(f"writes fail, and are refused until one does not: {error}")
            return Overloaded if refusing else InternalError
        except Exception:
            log.exception("a group of %d calls was rolled back", len(calls))
            return InternalError
        return None

    def _write(self, calls: Sequence[Call], *, save_clock: bool) -> None:
        """One transaction, and another one while the store gives it up for somebody else's."""
        conflicts = 0
        while True:
            try:
                with self._store.write() as writer:
                    self._run_calls(Group(writer, self._cache), calls, save_clock=save_clock)
                return
            except StoreConflict as error:
                conflicts += 1
                if conflicts > CONFLICTS_MAX:
                    raise StoreRefused(f"a group was given up for others {conflicts} times: {error}") from error
            self._begin_again(calls)
            time.sleep(random.uniform(0, min(0.001 * 2**conflicts, BACKOFF_MAX_S)))

    def _begin_again(self, calls: Sequence[Call]) -> None:
        """Nothing of the group stayed, and nothing that is known from it is true."""
        self._cache.forget()
        self._gate.transaction_ended(committed=False)
        for call in calls:
            call.begin_again()

    def _run_calls(self, group: Group, calls: Sequence[Call], *, save_clock: bool) -> None:
        names, keys, keyed = foreseen(calls)
        group.prefetch(names, () if self._too_large else keys, keyed)  # one that is refused for its keys asks for none
        now_ms = self._clock.catch_up(group.counters.clock_ms)
        for call in calls:
            self._run_call(group, call, now_ms)
        if self._failing and calls:
            group.finish(now_ms, save_clock=False)  # replays write nothing, so they need no room
            return
        if not calls or self._store.group_ops_max is None:
            self._sweep(group, now_ms)
        is_due = self._clock.save_is_due(now_ms, idle=not calls, pace_ms=self._store.clock_pace_ms)
        save = save_clock or group.has_opened or is_due
        group.finish(now_ms, save_clock=save)

    def _run_call(self, group: Group, call: Call, now_ms: int) -> None:
        if call.dropped:  # by a failpoint, before the group began again
            return
        try:
            recorded = self._gate.admit(group, call, now_ms)
            if recorded is not None:
                call.reply, call.replayed = mark_replayed(recorded), True
            elif call.changes_store:
                if self._failing:
                    raise Overloaded()
                call.reply, call.ran = self._execute(group, call, now_ms), True
        except Dropped:
            call.dropped = True
        except _OF_THE_GROUP:
            raise
        except RpcError as error:
            call.fail(error)
        except Exception:
            log.exception("%s failed", call.method.name)
            call.fail(InternalError())

    def _execute(self, group: Group, call: Call, now_ms: int) -> Reply:
        """Run the call; its effect stays if its reply is not an error."""
        self._pass("before_execute", call)
        call.check_deadline(self._monotonic_s())
        effect = Effect(group)
        rows_or_context = (
            effect
            if call.method.kind is MethodKind.WRITE
            else Context(server=self._facts, meta=call.meta, now_ms=now_ms, group=group)
        )
        try:
            if self._too_large:
                raise self._too_large
            reply = success(call.method.run(rows_or_context, call.params))
        except ApplicationError as error:
            reply = failure(error)
        self._pass("after_execute", call)
        self._gate.record_reply(group, call, reply, now_ms)
        if not reply.failed:
            group.merge(effect)  # last, for it cannot fail: no effect stays without its record
        return reply

    def _pass(self, failpoint: Any, call: Call) -> None:
        if self._failpoints and call.method.kind is MethodKind.WRITE:
            self._failpoints.hit(failpoint, call.method.name, call.method.keys(call.params))

    def _sweep(self, group: Group, now_ms: int) -> None:
        """Once a second a bounded portion of what has run out; a tick later the next one while there is more."""
        now_s = self._monotonic_s()
        if now_s < self._sweep_at_s:
            return
        self._sweep_at_s = now_s + SWEEP_PAUSE_S  # first of all: a store that fails is not asked at every tick
        if self._facts.sessions.sweep(group, now_ms):
            self._sweep_at_s = now_s + TICK_S
        group.forget_keyed(now_ms)

    def _fail_all(self, calls: Sequence[Call], error: type[KnownError]) -> None:
        for call in calls:
            call.fail(error())

    def _count(self, calls: Sequence[Call]) -> None:
        self._metrics.groups.inc()
        self._metrics.group_calls.observe(len(calls))
        replays = Counter(call.method.name for call in calls if call.replayed)
        effects = Counter(call.method.name for call in calls if call.ran and call.reply and not call.reply.failed)
        for name, count in replays.items():
            self._metrics.replays.labels(name).inc(count)
        for name, count in effects.items():
            self._metrics.effects.labels(name).inc(count)
