"""What etcd is asked (step 10): reads, all of one view at one revision.

The first read of a view is linearizable and gives the revision; those after it read at that revision, so a view is
consistent however many requests it takes. Limit: a revision that was compacted away meanwhile fails the view, which is
then begun again by whoever wanted it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence

from oncekv.kv.values import KEY_BYTES_MAX, Row, utf8_length
from oncekv.server.engine.storage import etcd_api as api
from oncekv.server.engine.storage.base import (
    Counters,
    KeyedRecord,
    Record,
    Session,
    StoreConflict,
    StoreRefused,
    unpack,
)
from oncekv.server.engine.storage.etcd_client import EtcdClient
from oncekv.server.engine.storage.etcd_errors import EtcdCompacted, EtcdError
from oncekv.server.engine.storage.etcd_layout import (
    Layout,
    SessionDocument,
    unpack_keyed,
    unpack_row,
    unpack_session,
)
from oncekv.server.engine.storage.etcd_tally import sum_counters
from oncekv.server.engine.storage.record_slots import SLOTS, Slots
from oncerpc.wire.errors import TooLarge

__all__ = ["EtcdView", "Stored"]

NUMBERS_FROM = 1 << 40
"""Sessions that are read are numbered from here on, for as long as the view lives; those that are opened, below."""
NAME_CHARS_MAX = 256
PAGE_FIRST = 16
PAGE_BYTES_AIM = 1024 * 1024
READS_MAX = 64


class Stored:
    """A session as it stands in etcd."""

    __slots__ = ("document", "session")

    def __init__(self, number: int, name: str, document: SessionDocument) -> None:
        self.document = document
        slots = Slots({seq: slot for slot, seq in enumerate(document.answers)})
        self.session = Session(number, name, document.lease_ms, document.expires_ms, document.acked, slots)


class EtcdView:
    """A consistent view of what is committed. Raises StoreRefused from its reads: none of them changes anything."""

    def __init__(self, client: EtcdClient, layout: Layout, max_s: float) -> None:
        self._client = client
        self._layout = layout
        self._max_s = max_s
        self._revision = 0
        self._stored: dict[int, Stored] = {}
        """The sessions that were read, by number."""
        self._numbers: dict[str, int] = {}

    def row(self, key: str) -> Row | None:
        if utf8_length(key) > KEY_BYTES_MAX:
            return None
        found = self._get([self._layout.row(key)])[0]
        return unpack_row(found.value) if found else None

    def page(self, prefix: str, after: str, limit: int, bytes_max: int) -> list[tuple[str, Row]]:
        rows = self._layout.rows
        first, last = prefix.encode(), after.encode()[: KEY_BYTES_MAX + 1]
        if len(first) > KEY_BYTES_MAX:
            return []
        begin = max(rows + first, rows + last + b"\0" if last else b"")
        end = api.prefix_end(rows + first)
        found: list[tuple[str, Row]] = []
        size, portion = 0, PAGE_FIRST
        while len(found) < limit and begin < end:
            response = self._range(api.Range(begin, end, min(portion, limit - len(found))))
            for kv in response.kvs:
                key, row = kv.key.removeprefix(rows), unpack_row(kv.value)
                size += len(key) + utf8_length(row.value)
                if size > bytes_max:
                    raise TooLarge(f"the page would have over {bytes_max} bytes; ask for fewer keys with limit")
                found.append((key.decode(), row))
            if not response.more or not response.kvs:
                break
            begin = response.kvs[-1].key + b"\0"
            portion = max(1, PAGE_BYTES_AIM * len(found) // size)  # values may be large, and a portion is held whole
        return found

    def sessions(self, names: Sequence[str]) -> list[Session]:
        asked = [name for name in names if len(name) <= NAME_CHARS_MAX]
        found = self._get(self._sessions_of(asked))
        return [self._learn(name, kv.value) for name, kv in zip(asked, found, strict=True) if kv]

    def record(self, row_id: int) -> Record | None:
        """That of a session that this view has read."""
        number, slot = divmod(row_id, SLOTS)
        stored = self._stored[number]
        seq = next((seq for n, seq in enumerate(stored.document.answers) if n == slot), None)
        if seq is None:
            return None
        answer = stored.document.answers[seq]
        if not answer:
            (found,) = self._get([self._layout.record(stored.session.name, seq)])
            if found is None:
                return None
            answer = found.value
        return unpack(answer)

    def keyed(self, scope: bytes, key: str) -> KeyedRecord | None:
        (found,) = self._get([self._layout.keyed(scope, key)])
        if found is None:
            return None
        document = unpack_keyed(found.value)
        return KeyedRecord(*unpack(document.answer), document.expires_ms)

    def counters(self) -> Counters:
        servers = self._layout.servers
        return sum_counters(self._range(api.Range(servers, api.prefix_end(servers))).kvs)

    def _sessions_of(self, names: Collection[str]) -> list[bytes]:
        """A longer name was never given out."""
        return [self._layout.session(name) for name in names if len(name) <= NAME_CHARS_MAX]

    def _learn(self, name: str, value: bytes) -> Session:
        if name not in self._numbers:
            number = self._numbers[name] = NUMBERS_FROM + len(self._numbers)
            self._stored[number] = Stored(number, name, unpack_session(value))
        return self._stored[self._numbers[name]].session

    def _get(self, keys: Sequence[bytes]) -> list[api.KeyValue | None]:
        """What stands under each of these keys."""
        found: list[api.KeyValue | None] = []
        for first in range(0, len(keys), READS_MAX):
            ops = [api.get(key, self._revision) for key in keys[first : first + READS_MAX]]
            with _refusing():
                response = self._client.read(api.Txn(success=ops), self._max_s)
            self._revision = self._revision or response.header.revision
            found += [next(iter(response.kvs(n)), None) for n in range(len(ops))]
        return found

    def _range(self, request: api.Range) -> api.RangeResponse:
        request.revision = self._revision
        with _refusing():
            response = self._client.range(request, self._max_s)
        self._revision = self._revision or response.header.revision
        return response


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except EtcdCompacted as error:
        raise StoreConflict(str(error)) from None
    except EtcdError as error:
        raise StoreRefused(str(error)) from None
