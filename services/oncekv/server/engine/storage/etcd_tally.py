"""What the servers count together (10): sessions, records and the lease clock, without a row that all of them write.

Every server counts in its own row, within its own transactions, and looks at the others' rows now and then. A row of a
server that is gone is folded into one row of such rows: at its own end, or at another's start when its clock has long
stood still.

Limit: what others have counted is known `LOOK_PAUSE_S` late; so a session limit may be passed by what they open meanwhile.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence

import msgspec

from oncekv.server.engine.storage import etcd_api as api
from oncekv.server.engine.storage.base import Counters, StoreRefused
from oncekv.server.engine.storage.etcd_client import EtcdClient
from oncekv.server.engine.storage.etcd_errors import EtcdError
from oncekv.server.engine.storage.etcd_layout import Layout, ServerDocument, unpack_server
from oncekv.server.engine.storage.etcd_transactions import EtcdTransactions

__all__ = ["EtcdTally", "sum_counters"]

LOOK_PAUSE_S = 0.4
DEAD_AFTER_MS = 10 * 60 * 1000
FOLDED_MAX = 50
FOLD_MAX_S = 1.0


class EtcdTally:
    """This server's part of the counts, and what it knows of the others'."""

    def __init__(self, client: EtcdClient, layout: Layout, transactions: EtcdTransactions) -> None:
        self._client = client
        self._layout = layout
        self._transactions = transactions
        self._others = Counters(0, 0, 0, 0)
        self._look_at_s = 0.0

    def counters(self) -> Counters:
        """The sum. Raises StoreRefused."""
        if time.monotonic() >= self._look_at_s:
            try:
                kvs = self._rows(4.0)
            except EtcdError as error:
                raise StoreRefused(str(error)) from None
            self._others = sum_counters([kv for kv in kvs if kv.key != self._transactions.key])
            self._look_at_s = time.monotonic() + LOOK_PAUSE_S
        mine = self._transactions.document
        others = self._others
        return Counters(
            max(mine.clock_ms, others.clock_ms), 0, mine.sessions + others.sessions, mine.records + others.records
        )

    def forget(self) -> None:
        """Look again before the next group."""
        self._look_at_s = 0.0

    def moved(self, before: Counters, after: Counters) -> ServerDocument:
        """This server's row when the group is committed that counted so."""
        mine = self._transactions.document
        return msgspec.structs.replace(
            mine,
            clock_ms=max(mine.clock_ms, after.clock_ms),
            sessions=mine.sessions + after.sessions - before.sessions,
            records=mine.records + after.records - before.records,
        )

    def fold_dead(self) -> None:
        """Fold rows of servers that are gone. Where that fails nothing is lost, and the next start tries again."""
        with contextlib.suppress(EtcdError):
            kvs = self._rows(FOLD_MAX_S)
            now_ms = sum_counters(kvs).clock_ms
            self._fold([kv for kv in kvs if now_ms - unpack_server(kv.value).clock_ms > DEAD_AFTER_MS])

    def fold_own(self) -> None:
        """This server ends."""
        with contextlib.suppress(EtcdError):
            if self._transactions.is_settled:
                self._fold([kv for kv in self._rows(FOLD_MAX_S) if kv.key == self._transactions.key])

    def _fold(self, dead: Sequence[api.KeyValue]) -> None:
        """If all of these rows are as they were read, one row has what they had."""
        gone = self._layout.server("gone")
        kvs = [kv for kv in dead if kv.key != gone][:FOLDED_MAX]
        if not kvs:
            return
        before = self._client.range(api.Range(gone), FOLD_MAX_S).kvs
        counted = sum_counters([*kvs, *before])
        document = ServerDocument(0, counted.clock_ms, counted.sessions, counted.records)
        request = api.Txn(
            [api.unchanged(kv.key, kv.mod_revision) for kv in kvs]
            + [api.unchanged(gone, before[0].mod_revision if before else 0)],
            [api.put(gone, msgspec.json.encode(document)), *(api.delete(kv.key) for kv in kvs)],
        )
        self._client.write(request, FOLD_MAX_S)

    def _rows(self, max_s: float) -> list[api.KeyValue]:
        servers = self._layout.servers
        return self._client.range(api.Range(servers, api.prefix_end(servers)), max_s).kvs


def sum_counters(rows: Sequence[api.KeyValue]) -> Counters:
    """What servers' rows say together. Sessions ever opened are not counted: here a name tells them apart."""
    documents = [unpack_server(kv.value) for kv in rows]
    return Counters(
        max((it.clock_ms for it in documents), default=0),
        0,
        sum(it.sessions for it in documents),
        sum(it.records for it in documents),
    )
