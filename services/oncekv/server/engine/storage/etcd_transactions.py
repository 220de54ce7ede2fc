"""Transactions whose outcome is known (step 10): each is marked in the server's own row, and looked up there when its
reply is lost.

Every server has one row that nobody else changes. Each of its transactions compares that row with what this server left
there, and puts it with a number of its own. So a transaction whose reply was lost is looked up by one that has the same
condition and puts another number:

    the row is as before     the lookup has changed it, so the lost one, should it still be on its way, fails its
                             compare for ever: it did nothing, and may be run again
    the lost one's number    it was committed
    no row                   another server took this one for dead and folded its counts: nobody can tell

Guarantee: nothing is sent again before that is settled, and no answer is given before either. The mark is the row
itself, so no old marks are left behind. Limit: one transaction at a time, which one committer never exceeds; while no
majority answers within `LOOKUP_MAX_S` the outcome stays open (StoreFailed), and is settled before the next one begins.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence

import msgspec

from oncekv.server.engine.storage import etcd_api as api
from oncekv.server.engine.storage.base import StoreConflict, StoreFailed, StoreOverLimit, StoreRefused
from oncekv.server.engine.storage.etcd_client import EtcdClient
from oncekv.server.engine.storage.etcd_errors import EtcdError, EtcdLost, EtcdOverLimit, EtcdRefused, EtcdUnreachable
from oncekv.server.engine.storage.etcd_layout import Layout, ServerDocument, unpack_server

__all__ = ["EtcdTransactions"]

LOOKUP_MAX_S = 4.0
SETTLE_MAX_S = 0.5
LOOKUP_ATTEMPT_S = 1.0
LOOKUP_PAUSE_S = 0.05


class EtcdTransactions:
    """The transactions of one server, one after the other."""

    def __init__(self, client: EtcdClient, layout: Layout) -> None:
        self._client = client
        self.key = layout.server(secrets.token_hex(8))
        self.document = ServerDocument()
        """What stands in the row, as far as is known."""
        self._revision = 0
        """The row's `mod_revision`; 0: it is not there."""
        self._number = 0
        self._open: ServerDocument | None = None
        """The row that a transaction of unknown outcome puts."""

    @property
    def is_settled(self) -> bool:
        return self._open is None

    def commit(self, compares: Sequence[api.Compare], ops: Sequence[api.Op], document: ServerDocument) -> None:
        """Commit all of it, or raise: StoreConflict, StoreRefused and StoreOverLimit say that nothing of it was done.

        `document`: the server's row from then on, but for the number.
        """
        self.settle()
        marked = self._numbered(document)
        request = api.Txn(
            [api.unchanged(self.key, self._revision), *compares],
            [api.put(self.key, msgspec.json.encode(marked)), *ops],
            [api.get(self.key)],
        )
        try:
            response = self._client.write(request)
        except EtcdLost as error:
            self._open = marked
            if not self._look_up(marked, error, LOOKUP_MAX_S):
                raise StoreConflict("a transaction did not arrive in time, and can no longer") from None
            return
        except EtcdOverLimit as error:
            raise StoreOverLimit(str(error)) from None
        except (EtcdUnreachable, EtcdRefused) as error:
            raise StoreRefused(str(error)) from None
        if not response.succeeded:
            self._see(response.kvs(0))
            raise StoreConflict("another server has changed what this transaction read")
        self._committed(marked, response.header.revision)

    def settle(self) -> None:
        """Find out what became of the last transaction, if that is not known. Raises StoreRefused."""
        if self._open is None:
            return
        try:
            self._look_up(self._open, EtcdLost("etcd does not answer"), SETTLE_MAX_S)
        except StoreFailed as error:
            if self._open is not None:
                raise StoreRefused(str(error)) from None

    def _look_up(self, lost: ServerDocument, error: EtcdError, max_s: float) -> bool:
        """Whether it was committed; if not, it can no longer be. Raises StoreFailed: nobody can tell."""
        tombstone = self._numbered(self.document)
        request = api.Txn(
            [api.unchanged(self.key, self._revision)],
            [api.put(self.key, msgspec.json.encode(tombstone))],
            [api.get(self.key)],
        )
        response = self._insist(request, error, max_s)
        if response.succeeded:
            self._committed(tombstone, response.header.revision)
            return False
        found = response.kvs(0)
        self._see(found)
        if not found:
            raise StoreFailed("another server took this one for dead, so nobody can tell what became of a transaction")
        return self.document.transaction == lost.transaction  # else it is the tombstone, whose own reply was lost

    def _insist(self, request: api.Txn, error: EtcdError, max_s: float) -> api.TxnResponse:
        """Send it until it is answered: it changes what it compares, so it does nothing a second time."""
        deadline_s = time.monotonic() + max_s
        while time.monotonic() < deadline_s:
            try:
                return self._client.write(request, min(LOOKUP_ATTEMPT_S, max_s))
            except (EtcdLost, EtcdUnreachable) as lost:
                error = lost
            except EtcdError as refused:
                raise StoreFailed(f"the outcome of a transaction is open: {refused}") from None
            time.sleep(LOOKUP_PAUSE_S)
        raise StoreFailed(f"the outcome of a transaction is open: {error}")

    def _numbered(self, document: ServerDocument) -> ServerDocument:
        self._number += 1
        return msgspec.structs.replace(document, transaction=self._number)

    def _committed(self, document: ServerDocument, revision: int) -> None:
        self.document, self._revision, self._open = document, revision, None

    def _see(self, found: Sequence[api.KeyValue]) -> None:
        """The row as it stands in etcd."""
        if found:
            self._committed(unpack_server(found[0].value), found[0].mod_revision)
        else:
            self._committed(ServerDocument(), 0)
