"""What the servers count together (step 10): sessions, records, the lease clock; without a row that all of them write.

Every server counts in its own row, within its own transactions, and looks at the others' rows now and then. A row of a
server that is gone is folded into one row of such rows: at its own end, or at another's start when its clock has long
stood still.

The lease clock is the greatest of the rows' clocks, and each server's goes on by itself in between. So one may be
behind another by what that one has not saved yet: a lease is given that much longer here while others run, and is
nowhere shorter than it should be.

Limit: what others have counted is known `LOOK_PAUSE_S` late; so a session limit may be passed by what they open
meanwhile.
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

LOOK_PAUSE_S = 0.2
CLOCK_PACE_MS = 400
CLOCK_LAG_MAX_MS = 600
"""How far this server's clock may be behind another's: what that one has not saved yet, and what was not looked at."""
OTHERS_LIVE_S = 3.0
DEAD_AFTER_MS = 10 * 60 * 1000
FOLDED_MAX = 50
FOLD_MAX_S = 1.0


class EtcdTally:
    """One server's part of the counts, and what it knows of the others'."""

    def __init__(self, client: EtcdClient, layout: Layout, transactions: EtcdTransactions) -> None:
        self._client = client
        self._layout = layout
        self._transactions = transactions
        self._others = Counters(0, 0, 0, 0)
        self._look_at_s = 0.0
        self._gone = layout.gone
        self._revision = 0
        self._others_until_s = 0.0

    @property
    def clock_lag_max_ms(self) -> int:
        """How much longer a lease is to be given here, so that it is nowhere shorter; 0 where no other server runs."""
        return CLOCK_LAG_MAX_MS if time.monotonic() < self._others_until_s else 0

    def counters(self) -> Counters:
        """The sum. Raises StoreRefused."""
        if time.monotonic() >= self._look_at_s:
            try:
                kvs = self._rows(4.0)
            except EtcdError as error:
                raise StoreRefused(str(error)) from None
            self._see([kv for kv in kvs if kv.key not in (self._transactions.key, self._gone)])
            self._others = sum_counters([kv for kv in kvs if kv.key != self._transactions.key])
            self._look_at_s = time.monotonic() + LOOK_PAUSE_S
        mine = self._transactions.document
        others = self._others
        return Counters(
            max(mine.clock_ms, others.clock_ms), 0, mine.sessions + others.sessions, mine.records + others.records
        )

    def moved(self, before: Counters, after: Counters) -> ServerDocument:
        """The row that a group leaves which counted so."""
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
        """At the server's end: what it has counted stays."""
        with contextlib.suppress(EtcdError):
            if self._transactions.is_settled:
                self._fold([kv for kv in self._rows(FOLD_MAX_S) if kv.key == self._transactions.key])

    def _see(self, others: Sequence[api.KeyValue]) -> None:
        """A row that has moved is one of a server that runs."""
        revision = max((kv.mod_revision for kv in others), default=0)
        if revision > self._revision:
            self._revision, self._others_until_s = revision, time.monotonic() + OTHERS_LIVE_S

    def _fold(self, dead: Sequence[api.KeyValue]) -> None:
        """If all of these rows are as they were read, one row has what they had."""
        gone = self._gone
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
