"""An etcd prefix as a source or a target: ranges of bounded size, and a transaction for each batch.

Until the end its `schema` says `migrating`, which no server takes, and `PREFIX/migration` holds the progress. Each
transaction compares that key with what was read there, so one whose reply was lost can be looked up and sent again: it
happens once, if at all.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Iterator, Sequence

import msgspec

from oncekv.server.config import StartupError
from oncekv.server.engine.storage import etcd_api as api
from oncekv.server.engine.storage.etcd_client import EtcdClient
from oncekv.server.engine.storage.etcd_errors import EtcdError, EtcdLost, EtcdOverLimit, EtcdUnreachable
from oncekv.server.engine.storage.etcd_layout import (
    MIGRATING,
    SCHEMA,
    KeyedDocument,
    Layout,
    ServerDocument,
    SessionDocument,
    pack_document,
    unpack_keyed,
    unpack_session,
)
from oncekv.server.engine.storage.etcd_sessions import ANSWER_BYTES_MAX, DOCUMENT_BYTES_MAX
from oncekv.server.engine.storage.etcd_tally import sum_counters
from oncekv.server.engine.storage.etcd_url import EtcdLocation, parse_location
from oncekv.server.migration.items import KEYS, RECORDS, SESSIONS, Id, Item
from oncekv.server.migration.sides import (
    UNFINISHED,
    MigrationFailed,
    MigrationRefused,
    Origin,
    Progress,
    decode_progress,
    encode_progress,
)

__all__ = ["EtcdSide", "open_side"]

BATCH_ITEMS = 30
"""Two operations each, and the progress: below the least that a server takes (`etcd_limits`)."""
BATCH_BYTES = 512 * 1024
PAGE_FIRST = 16
PAGE_MAX = 1000
PAGE_BYTES_AIM = 1024 * 1024
BEAT_MAX_S = 1.5
"""A server that runs saves the lease clock several times in it."""
TRIES_MAX = 20
TRY_PAUSE_S = 0.5


def open_side(location: str) -> EtcdSide:
    """`location` is what follows `etcd://`. Nothing is asked yet."""
    return EtcdSide(parse_location(location))


class EtcdSide:
    """The store under one prefix."""

    batch_items = BATCH_ITEMS
    batch_bytes = BATCH_BYTES

    def __init__(self, where: EtcdLocation) -> None:
        self._layout = Layout(where.prefix)
        self._shown = ascii(where.prefix.decode(errors="replace"))[1:-1]
        self.where = f"etcd {where}{self._shown}"
        self._client = EtcdClient(where)
        self._migration = where.prefix + b"migration"
        self._revision = 0
        """Of the progress in the target, as it was last read or written."""

    def origin(self) -> Origin:
        with self._telling(MigrationRefused):
            schema = self._get(self._layout.schema)
            if schema is None:
                raise MigrationRefused(f"there is no store under {self._shown}; name the one that is to be moved")
            if schema.value == MIGRATING:
                raise MigrationRefused(f"the source is no whole store: {UNFINISHED}")
            if schema.value != SCHEMA:
                raise MigrationRefused("the source has another release's schema; use `oncekv migrate` of that one")
            before = self.state()
            time.sleep(BEAT_MAX_S)
            if self.state() != before:
                raise MigrationRefused("a server is running on the source; end all of them first")
            boot = self._get(self._layout.boot)
            clock_ms = sum_counters(self._rows()).clock_ms
        return Origin(self.where, int(boot.value) if boot else 0, clock_ms, before)

    def state(self) -> str:
        with self._telling(MigrationFailed):
            boot = self._get(self._layout.boot)
            rows = [*self._rows(), *([boot] if boot else [])]
        return hashlib.sha256(b"".join(map(msgspec.msgpack.encode, rows))).hexdigest()

    def items(self, kind: str, after: Id | None = None) -> Iterator[Item]:
        with self._telling(MigrationFailed):
            if kind == KEYS:
                for key, value in self._page(self._layout.rows, after[0] if after else b""):
                    version, _, text = value.partition(b"\n")
                    yield key, int(version), text
            elif kind == SESSIONS:
                for name, value in self._page(self._layout.sessions, after[0] if after else b""):
                    document = unpack_session(value)
                    yield name, document.lease_ms, document.expires_ms, document.acked
            elif kind == RECORDS:
                yield from self._records(after)
            else:
                for entry, value in self._page(
                    self._keyed, b"%b/%b" % (after[0].hex().encode(), after[1]) if after else b""
                ):
                    scope, _, key = entry.partition(b"/")
                    kept = unpack_keyed(value)
                    yield bytes.fromhex(scope.decode()), key, kept.answer, kept.expires_ms

    def progress(self) -> Progress | None:
        with self._telling(MigrationRefused):
            schema, stored = self._get(self._layout.schema), self._get(self._migration)
            if schema and schema.value == MIGRATING and stored:
                self._revision = stored.mod_revision
                return decode_progress(stored.value)
            prefix = self._layout.prefix
            if self._client.range(api.Range(prefix, api.prefix_end(prefix), 1, keys_only=True)).kvs:
                what = "holds a store already" if schema else "belongs to another program"
                raise MigrationRefused(f"what stands under {self._shown} {what}; name another prefix")
        return None

    def begin(self, progress: Progress) -> None:
        prefix = self._layout.prefix
        nothing = api.not_changed_since(0, prefix, api.prefix_end(prefix))
        with self._telling(MigrationRefused):
            self._commit([nothing], [api.put(self._layout.schema, MIGRATING)], encode_progress(progress))

    def put(self, kind: str, items: Sequence[Item], before: Progress, after: Progress) -> None:  # noqa: ARG002 it is compared by its revision
        with self._telling(MigrationFailed):
            self._commit([], self._ops(kind, items), encode_progress(after))

    def finish(self, progress: Progress) -> None:
        origin, layout = progress.origin, self._layout
        sessions, records = (progress.counts.get(kind, 0) for kind in (SESSIONS, RECORDS))
        counted = ServerDocument(0, origin.clock_ms, sessions, records)
        ops = [
            api.put(layout.schema, SCHEMA),
            api.put(layout.boot, b"%d" % origin.boot),
            api.put(layout.gone, msgspec.json.encode(counted)),
        ]
        with self._telling(MigrationFailed):
            self._commit([], ops, None)

    def close(self) -> None:
        self._client.close()

    @property
    def _keyed(self) -> bytes:
        return self._layout.prefix + b"keyed/"

    def _records(self, after: Id | None) -> Iterator[Item]:
        name_after, seq_after = after or (b"", -1)
        for name, value in self._page(self._layout.sessions, name_after, is_inclusive=True):
            answers = unpack_session(value).answers
            for seq in sorted(answers):
                if name == name_after and seq <= seq_after:
                    continue
                answer = answers[seq]
                if not answer:
                    beside = self._get(self._layout.record(name.decode(), seq))
                    if beside is None:
                        raise MigrationFailed("a record is gone from the source while it is read; end its servers")
                    answer = beside.value
                yield name, seq, answer

    def _ops(self, kind: str, items: Sequence[Item]) -> list[api.Op]:
        layout = self._layout
        if kind == KEYS:
            return [api.put(layout.rows + key, b"%d\n%b" % (version, value)) for key, version, value in items]
        if kind == SESSIONS:
            ops = []
            for name, lease_ms, expires_ms, acked in items:
                document = SessionDocument(lease_ms, expires_ms, acked, expires_ms, {})
                ops.append(api.put(layout.sessions + name, pack_document(document)))
                ops.append(api.put(layout.due(expires_ms, name.decode()), b""))
            return ops
        if kind == RECORDS:
            return self._record_ops(items)
        ops = []
        for scope, key, answer, expires_ms in items:
            ops.append(api.put(layout.keyed(scope, key.decode()), pack_document(KeyedDocument(expires_ms, answer))))
            ops.append(api.put(layout.keyed_due(expires_ms, scope, key.decode()), b""))
        return ops

    def _record_ops(self, items: Sequence[Item]) -> list[api.Op]:
        """What is small goes into its session's document, as far as there is room."""
        ops: list[api.Op] = []
        documents = self._documents(list(dict.fromkeys(name for name, *_ in items)))
        for name, seq, answer in items:
            answers = documents[name].answers
            if len(answer) > ANSWER_BYTES_MAX or sum(map(len, answers.values())) + len(answer) > DOCUMENT_BYTES_MAX:
                ops.append(api.put(self._layout.record(name.decode(), seq), answer))
                answer = b""
            answers[seq] = answer
        return ops + [api.put(self._layout.sessions + name, pack_document(it)) for name, it in documents.items()]

    def _documents(self, names: Sequence[bytes]) -> dict[bytes, SessionDocument]:
        """Those of these sessions, which are there: they move before their records."""
        response = self._client.read(api.Txn(success=[api.get(self._layout.sessions + name) for name in names]))
        return {name: unpack_session(response.kvs(n)[0].value) for n, name in enumerate(names)}

    def _commit(self, compares: list[api.Compare], ops: list[api.Op], progress: bytes | None) -> None:
        """With the new progress; None: it is over. Raises MigrationFailed, or EtcdError."""
        unchanged = api.unchanged(self._migration, self._revision)
        move_on = api.delete(self._migration) if progress is None else api.put(self._migration, progress)
        request = api.Txn([unchanged, *compares], [*ops, move_on], [api.get(self._migration)])
        lost: EtcdError = EtcdUnreachable("no member was asked")
        for attempt in range(TRIES_MAX):
            try:
                response = self._client.write(request)
            except (EtcdLost, EtcdUnreachable) as error:
                lost = error
                time.sleep(TRY_PAUSE_S)
                continue
            if response.succeeded:
                self._revision = response.header.revision
                return
            found = response.kvs(0)
            if attempt and (found[0].value if found else None) == progress:  # the one whose reply was lost
                self._revision = found[0].mod_revision if found else 0
                return
            raise MigrationFailed("another `oncekv migrate` fills the same target; end one of them")
        raise lost

    def _page(self, prefix: bytes, after: bytes, *, is_inclusive: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """All keys behind `after`, without their prefix, and their values."""
        begin, end = prefix + after + (b"" if is_inclusive or not after else b"\0"), api.prefix_end(prefix)
        portion = PAGE_FIRST
        while True:
            response = self._client.range(api.Range(begin, end, portion))
            for kv in response.kvs:
                yield kv.key.removeprefix(prefix), kv.value
            if not response.more or not response.kvs:
                return
            begin = response.kvs[-1].key + b"\0"
            size = sum(len(kv.key) + len(kv.value) for kv in response.kvs)
            portion = min(PAGE_MAX, max(1, PAGE_BYTES_AIM * len(response.kvs) // size))

    def _get(self, key: bytes) -> api.KeyValue | None:
        return next(iter(self._client.range(api.Range(key)).kvs), None)

    def _rows(self) -> list[api.KeyValue]:
        servers = self._layout.servers
        return self._client.range(api.Range(servers, api.prefix_end(servers))).kvs

    @contextlib.contextmanager
    def _telling(self, kind: type[StartupError]) -> Iterator[None]:
        try:
            yield
        except EtcdOverLimit as error:
            raise MigrationFailed(
                f"{self.where} takes no request that large ({error}); start its members with a larger"
                " --max-request-bytes, and run it again"
            ) from None
        except EtcdError as error:
            raise kind(f"{self.where} cannot be used ({error}); see that it runs, and run it again") from None
