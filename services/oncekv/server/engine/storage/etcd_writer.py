"""A group of calls as one etcd transaction (step 10): if all that it read is unchanged, all that it changes is put.

Nothing of the store is locked, nor kept in memory between groups: the group reads at one revision, runs, and its
transaction compares the `mod_revision` of every key that it has read, with 0 for one that was absent. So a record that
another server has written meanwhile, or a session that it has closed or whose watermark it has moved, fails the
transaction as a whole (StoreConflict), and the group runs again on what is there now. A group that changes nothing was
answered from one revision, read after its calls came, and needs no transaction.

Limit: two servers that write the same keys, or calls of one session, get in each other's way; others never do.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from oncekv.kv.values import KEY_BYTES_MAX, utf8_length
from oncekv.server.engine.storage import etcd_api as api
from oncekv.server.engine.storage.base import Changes, Counters, Session, pack
from oncekv.server.engine.storage.etcd_client import EtcdClient
from oncekv.server.engine.storage.etcd_layout import (
    KeyedDocument,
    Layout,
    pack_document,
    pack_row,
    unpack_keyed,
    unpack_row,
)
from oncekv.server.engine.storage.etcd_sessions import session_ops
from oncekv.server.engine.storage.etcd_sweep import Sweep
from oncekv.server.engine.storage.etcd_view import EtcdView

__all__ = ["EtcdWriter"]

KEYED_PORTION = 40
PUT_OFF_MS = 1000


class EtcdWriter(EtcdView):
    """What one group reads, and what it will write."""

    def __init__(
        self, client: EtcdClient, layout: Layout, max_s: float, counters: Counters, clock_lag_max_ms: int
    ) -> None:
        super().__init__(client, layout, max_s)
        self._clock_lag_max_ms = clock_lag_max_ms
        self.counted = counters
        """What the store counts, once the group is committed."""
        self._found: dict[bytes, api.KeyValue | None] = {}
        """Every key that was read."""
        self._sweep = Sweep()
        self._expired: dict[int, int] = {}
        self._applied = False
        self._ops: list[api.Op] = []

    def finish(self) -> list[api.Op]:
        """All that the transaction is to do; nothing, if the group changed nothing."""
        if not self._applied and self._sweep.has_any:
            self.apply(Changes())
        return [*self._ops, *self._sweep.ops()]

    @property
    def compares(self) -> list[api.Compare]:
        """That all is as it was read."""
        read = [api.unchanged(key, kv.mod_revision if kv else 0) for key, kv in self._found.items()]
        return [*read, *self._sweep.compares()]

    def data_version(self) -> None:
        """Nothing is kept from one group to the next."""
        return

    def foresee(self, names: Collection[str], keys: Collection[str], keyed: Collection[tuple[bytes, str]] = ()) -> None:
        """These will be asked for: they are read at once, in as few requests as may be."""
        self._get([
            *self._sessions_of(names),
            *map(self._layout.row, _possible(keys)),
            *(self._layout.keyed(*one) for one in keyed),
        ])  # fmt: skip

    def new_session_number(self, counted: int) -> int:
        """Numbers are this group's own; in etcd a session has its name alone."""
        return counted + 1

    def rows(self, keys: Sequence[str]) -> dict[str, tuple[int, str | None]]:
        asked = _possible(keys)
        rows: dict[str, tuple[int, str | None]] = {}
        for key, kv in zip(asked, self._get([self._layout.row(key) for key in asked]), strict=True):
            if kv is not None:
                value, version = unpack_row(kv.value)
                rows[key] = (version, value)
        return rows

    def counters(self) -> Counters:
        return self.counted

    def sessions_expired(self, now_ms: int, limit: int) -> list[Session]:
        """Those whose entry is due; those of them that live after all are put off."""
        dues, end = self._layout.dues, self._layout.dues_until(now_ms)
        response = self._range(api.Range(dues, end, limit, keys_only=True))
        entries = [self._layout.due_name(kv.key) for kv in response.kvs]
        self.foresee([entry.name for entry in entries], [])
        expired: list[Session] = []
        used = 0
        for entry in entries:
            if len(expired) + 2 * len(self._sweep.put_off) >= limit:
                break
            used += 1
            for session in self.sessions([entry.name]):
                if self._stored[session.number].document.due_ms != entry.time_ms:
                    continue
                if session.expires_ms <= now_ms:
                    expired.append(session)
                    self._expired[session.number] = now_ms
                else:
                    self._sweep.put_off[session.number] = session.expires_ms
        if used:
            whole = used == len(entries) and not response.more
            self._sweep.take(dues, end if whole else response.kvs[used - 1].key + b"\0", self._revision)
        return expired

    def keyed_expired(self, now_ms: int) -> bool:
        index = self._layout.keyed_dues
        return bool(self._range(api.Range(index, self._layout.keyed_dues_until(now_ms), 1, keys_only=True)).kvs)

    def apply(self, changes: Changes) -> None:
        """Gather what the transaction is to do; it is sent when the group is over."""
        layout = self._layout
        self._applied = True
        for number, now_ms in self._expired.items():
            if number not in changes.ended:  # nobody wanted it in this group, and its entry goes with the others
                self._sweep.put_off[number] = now_ms + PUT_OFF_MS
        self._ops += [
            api.delete(layout.row(key)) if row is None else api.put(layout.row(key), pack_row(row))
            for key, row in changes.rows.items()
        ]
        self._ops += session_ops(changes, self._stored, self._sweep, layout, self._clock_lag_max_ms)
        for (scope, key), record in changes.keyed.items():
            document = KeyedDocument(record.expires_ms, pack(record.fingerprint, record.reply))
            self._ops.append(api.put(layout.keyed(scope, key), pack_document(document)))
            self._ops.append(api.put(layout.keyed_due(record.expires_ms, scope, key), b""))
        if changes.keyed_expired_ms is not None:
            self._forget_keyed(changes)
        self.counted = changes.counters or self.counted

    def _forget_keyed(self, changes: Changes) -> None:
        index, now_ms = self._layout.keyed_dues, changes.keyed_expired_ms or 0
        end = self._layout.keyed_dues_until(now_ms)
        response = self._range(api.Range(index, end, KEYED_PORTION, keys_only=True))
        put = {self._layout.keyed(*key) for key in changes.keyed}
        keys = [self._layout.keyed_of_due(kv.key) for kv in response.kvs]
        keys = [key for key in dict.fromkeys(keys) if key not in put]
        for kv in self._get(keys):
            if kv is not None and unpack_keyed(kv.value).expires_ms <= now_ms:
                self._ops.append(api.delete(kv.key))
        if response.kvs:
            self._sweep.take(index, response.kvs[-1].key + b"\0" if response.more else end, self._revision)

    def _get(self, keys: Sequence[bytes]) -> list[api.KeyValue | None]:
        missing = [key for key in dict.fromkeys(keys) if key not in self._found]
        if missing:
            self._found.update(zip(missing, super()._get(missing), strict=True))
        return [self._found[key] for key in keys]


def _possible(keys: Collection[str]) -> list[str]:
    """A longer key is refused when its call runs, and is nowhere."""
    return [key for key in keys if utf8_length(key) <= KEY_BYTES_MAX]
