"""What one etcd transaction can hold (step 10): operations, compares, and bytes.

etcd counts compares and operations apart, and each may have `--max-txn-ops` (128 by default) of them; a whole request
may have `--max-request-bytes` (1.5 MiB). How many operations the cluster takes is asked at the start, by a transaction
that reads; of the bytes it tells nothing, so its default is taken, and a cluster that takes fewer says so itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from oncekv.server.config import StartupError
from oncekv.server.engine.storage import etcd_api as api
from oncekv.server.engine.storage.base import StoreOverLimit
from oncekv.server.engine.storage.etcd_client import EtcdClient
from oncekv.server.engine.storage.etcd_errors import EtcdOverLimit
from oncekv.server.engine.storage.etcd_layout import Layout

__all__ = ["EtcdLimits", "find_limits"]

OPS_TRIED = (1024, 512, 256, 128, 64)
REQUEST_BYTES = 1536 * 1024
BYTES_KEPT_FREE = 16 * 1024
BYTES_PER_OP = 48
"""What etcd's own encoding adds to a key and a value, and then some."""


@dataclass(frozen=True)
class EtcdLimits:
    """Of one transaction, the server's own row left out."""

    txn_ops: int
    request_bytes: int = REQUEST_BYTES - BYTES_KEPT_FREE

    def check(self, compares: Sequence[api.Compare], ops: Sequence[api.Op]) -> None:
        """Raises StoreOverLimit when that is too much for one transaction."""
        count = max(len(compares), len(ops)) + 1
        if count > self.txn_ops:
            raise StoreOverLimit(f"etcd takes {self.txn_ops} operations in a transaction (--max-txn-ops), not {count}")
        size = sum(len(compare.key) + BYTES_PER_OP for compare in compares) + sum(map(_size, ops))
        if size > self.request_bytes:
            raise StoreOverLimit(
                f"etcd takes {REQUEST_BYTES} bytes in a request (--max-request-bytes); this has {size}"
            )


def find_limits(client: EtcdClient, layout: Layout) -> EtcdLimits:
    """What the cluster takes. Raises EtcdError, or StartupError where it is too little for a call."""
    for count in OPS_TRIED:
        try:
            client.read(api.Txn(success=[api.get(layout.probe)] * count))
        except EtcdOverLimit:
            continue
        return EtcdLimits(count)
    raise StartupError(
        f"this etcd takes fewer than {OPS_TRIED[-1]} operations in a transaction; raise its --max-txn-ops"
    )


def _size(op: api.Op) -> int:
    if op.request_put:
        return len(op.request_put.key) + len(op.request_put.value) + BYTES_PER_OP
    deleted = op.request_delete_range
    return BYTES_PER_OP + (len(deleted.key) + len(deleted.range_end) if deleted else 0)
