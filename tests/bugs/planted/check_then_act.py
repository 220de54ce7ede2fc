"""Check, then act, without waiting for the one that runs. "Look the record up before the call starts, and let slow
calls run beside each other; the writer is needed for the result alone." It looks right, for every retry after the reply
finds its record.

It breaks rule 3: a duplicate that arrives while the first still runs finds no record either, and both act.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator
from typing import Any, cast

from oncekv.server.engine.committer import Committer
from oncekv.server.engine.storage.base import Writer
from oncekv.server.engine.storage.staged import Group
from oncerpc.server.dedup.base import Attempt
from oncerpc.server.dedup.persisted import PersistedDedup
from oncerpc.server.failpoints import Dropped
from oncerpc.server.rpc.call import Call, Submission
from oncerpc.wire.errors import RpcError
from oncerpc.wire.jsonrpc import Reply, mark_replayed
from tests.bugs.base import Bug, replaced

real_admit, real_record_reply = PersistedDedup.admit, PersistedDedup.record_reply
real_submit, real_pass = Committer.submit, Committer._pass


def submit(self: Committer, requests: Iterable[Submission]) -> None:
    """What has a record is answered, the rest goes to the writer; on a thread each, for none need wait for another."""

    def work(request: Submission) -> None:
        for call in request.calls:
            check(self, call)
        left = [call for call in request.calls if call.reply is None and not call.dropped]
        real_submit(self, [request._replace(calls=left)])

    for request in requests:
        threading.Thread(target=work, args=(request,), name="check", daemon=True).start()


def check(committer: Committer, call: Call) -> None:
    """Beside all others, against what is committed; the call's slow part runs here as well."""
    try:
        with committer._store.read() as reader:
            group = Group(cast(Writer, reader))
            now_ms = committer._clock.catch_up(group.counters.clock_ms)
            recorded = real_admit(cast(PersistedDedup, committer._gate), group, call, now_ms)
        if recorded is not None:
            call.reply, call.replayed = mark_replayed(recorded), True
        elif call.changes_store:
            real_pass(committer, "before_execute", call)
    except Dropped:
        call.dropped = True
    except RpcError as error:
        call.fail(error)


def admit(self: PersistedDedup, group: Group, attempt: Attempt, now_ms: int) -> Reply | None:
    """It was checked already."""
    if attempt.key is None and attempt.meta.session is not None:
        self._renew_and_acknowledge(group, attempt.meta, attempt.meta.session, now_ms)
    return None


def record_reply(self: PersistedDedup, group: Group, attempt: Attempt, reply: Reply, now_ms: int) -> None:
    """INSERT OR IGNORE: someone may have been faster."""
    session = group.session(attempt.meta.session) if attempt.meta.session is not None else None
    if session is None or attempt.meta.seq is None or group.record(session, attempt.meta.seq) is None:
        real_record_reply(self, group, attempt, reply, now_ms)


def pass_failpoint(self: Committer, failpoint: Any, call: Call) -> None:
    """`before_execute` was passed on the way to the queue."""
    if failpoint != "before_execute":
        real_pass(self, failpoint, call)


@contextlib.contextmanager
def plant() -> Iterator[None]:
    """The question is asked before the queue, the deed is done behind it."""
    with (
        replaced(Committer, submit=submit, _pass=pass_failpoint),
        replaced(PersistedDedup, admit=admit, record_reply=record_reply),
    ):
        yield


BUG = Bug(
    number=7,
    name="check-then-act",
    side="server",
    breaks="a duplicate of a running call waits for it and gets its reply",
    caught_by=(("duplicate-while-running", "exactly-once"),),
    plant=plant,
)
