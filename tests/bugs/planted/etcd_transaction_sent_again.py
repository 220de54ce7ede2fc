"""etcd's transaction is sent again without a look. "If a member does not answer, ask the next one; and the transaction
has a condition, so twice does no harm." It looks right, for the second one does find its condition broken.

It breaks what is said of a call that was sent once: that the condition is broken is taken for another server's doing,
while it was the first attempt that was committed; so the group runs again.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager

from oncekv.server.engine.storage import etcd_api as api
from oncekv.server.engine.storage.etcd_client import WRITE_MAX_S, EtcdClient
from oncekv.server.engine.storage.etcd_errors import EtcdError, EtcdLost, EtcdUnreachable
from tests.bugs.base import Bug, replaced


def write(self: EtcdClient, request: api.Txn, max_s: float = WRITE_MAX_S) -> api.TxnResponse:
    """As a read: from member to member, until one answers."""
    deadline_s = time.monotonic() + max_s
    body = api.encode(request)
    error: EtcdError = EtcdUnreachable("no member was asked")
    for number in self._order():
        try:
            answer = self._post(number, "/v3/kv/txn", body, deadline_s)
        except (EtcdUnreachable, EtcdLost) as lost:
            error = lost
        else:
            self._first = number
            return api.decode_txn(answer)
    raise error


def plant() -> AbstractContextManager[None]:
    """Writes fail over as reads do."""
    return replaced(EtcdClient, write=write)


BUG = Bug(
    number=34,
    name="etcd-transaction-sent-again",
    side="server",
    breaks="what was sent once takes effect at most once",
    caught_by=(("store-reply-lost", "maybe"),),
    plant=plant,
    store="etcd",
)
