"""Calls of dispatch, each in a transaction of its own on the thread that asks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from oncerpc.server.dedup.base import IdempotencyKey
from oncerpc.server.failpoints import Dropped
from oncerpc.server.log import log
from oncerpc.server.metrics import Metrics
from oncerpc.server.records import StoreRefused
from oncerpc.server.rpc.call import BaseCommitter, Call, Submission, Watch
from oncerpc.server.rpc.method import Context, MethodKind, ServerFacts
from oncerpc.server.sql.database import StillRunning
from oncerpc.server.sql.executor import Executor
from oncerpc.server.sql.records import SqlRecords
from oncerpc.server.sql.transaction import Transaction
from oncerpc.wire.errors import InternalError, Overloaded, RpcError
from oncerpc.wire.identity import CallMeta
from oncerpc.wire.jsonrpc import Reply, failure, mark_replayed, success

__all__ = ["TransactionCommitter"]


class _CallWork:
    """A call of dispatch as what the executor runs."""

    def __init__(self, call: Call, facts: ServerFacts, now_ms: Callable[[], int], key_kept_ms: int) -> None:
        self._call = call
        self._facts = facts
        self._now_ms = now_ms
        self.key_kept_ms = key_kept_ms

    may_be_refused = False

    @property
    def asks_for_a_session(self) -> bool:
        return self._call.method.kind is MethodKind.SESSION or self._call.meta.session is not None

    @property
    def meta(self) -> CallMeta:
        return self._call.meta

    @property
    def key(self) -> IdempotencyKey | None:
        return self._call.key

    @property
    def fingerprint(self) -> bytes:
        return self._call.fingerprint

    @property
    def name(self) -> str:
        return self._call.method.name

    @property
    def keys(self) -> Iterable[str]:
        is_write = self._call.method.kind is MethodKind.WRITE
        return self._call.method.keys(self._call.params) if is_write else ()

    def begin(self) -> None:
        """Raises Expired."""
        self._call.check_deadline(time.monotonic())

    def run(self, tx: Transaction, records: SqlRecords) -> Reply:
        """The method's reply; what it raises and is recorded is a reply as well."""
        call = self._call
        try:
            if call.method.kind is MethodKind.WRITE:
                return success(call.method.run(tx, call.params))
            context = Context(server=self._facts, meta=call.meta, now_ms=self._now_ms(), group=records)
            return success(call.method.run(context, call.params))
        except RpcError as error:
            if error.recorded:
                return failure(error)
            raise


class TransactionCommitter(BaseCommitter):
    """Runs calls where they come in: the thread of the request waits."""

    def __init__(
        self, executor: Executor, facts: ServerFacts, metrics: Metrics, now_ms: Callable[[], int], key_kept_ms: int
    ) -> None:
        self._executor = executor
        self._facts = facts
        self._metrics = metrics
        self._now_ms = now_ms
        self._key_kept_ms = key_kept_ms

    def start(self) -> None:
        """Nothing to start."""

    def listen(self, watch: Watch | None) -> None:
        """All is answered in this process."""

    def stop(self) -> None:
        """Nothing waits here."""

    def submit(self, requests: Iterable[Submission]) -> None:
        for request in requests:
            for call in request.calls:
                self._run(call)
            request.done()

    def _run(self, call: Call) -> None:
        try:
            self._bring_to_reply(call)
        except Dropped:
            call.dropped = True
        except (StillRunning, StoreRefused) as error:
            log.warning("%s was refused: %s", call.method.name, error)
            call.fail(Overloaded())
        except RpcError as error:
            call.fail(error)
        except Exception:
            log.exception("%s failed, and what it wrote was rolled back", call.method.name)
            call.fail(InternalError())

    def _bring_to_reply(self, call: Call) -> None:
        if not call.changes_store:
            self._executor.touch(call.meta)
            return
        work = _CallWork(call, self._facts, self._now_ms, self._key_kept_ms)
        done = self._executor.run(work)
        if not done.replayed:
            self._executor.observe("after_commit", work)  # its failpoint is passed by dispatch
        call.reply = mark_replayed(done.reply) if done.replayed else done.reply
        call.replayed, call.ran = done.replayed, not done.replayed
        if done.replayed:
            self._metrics.replays.labels(call.method.name).inc()
        elif not done.reply.failed:
            self._metrics.effects.labels(call.method.name).inc()
