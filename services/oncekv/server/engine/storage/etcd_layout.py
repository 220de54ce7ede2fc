"""Where things stand in etcd (step 10): the keys of a store, and what is in them. The schema, version 1.

    PREFIX/schema                       1
    PREFIX/boot                         how often a server was started on this store
    PREFIX/kv/KEY                       version, newline, value: `etcdctl get` shows both
    PREFIX/session/NAME                 a session with its watermark and its dedup records (msgpack, below)
    PREFIX/record/NAME/SEQ              the answer of a record that is too large to stand in its session
    PREFIX/due/MS/NAME                  when to look whether the lease is over; late, never early
    PREFIX/keyed/SCOPE/KEY              a dedup record under an Idempotency-Key (msgpack)
    PREFIX/keyed-due/MS/SCOPE/KEY       when its time is over
    PREFIX/server/ID                    one server's own row: its last transaction, its clock, what it counted (JSON)
    PREFIX/server/gone                  what those counted that are gone
    PREFIX/migration                    how far `oncekv migrate` has come; `schema` says `migrating` as long

A session is one key, so its `mod_revision` says of everything that the dedup gate asks at once whether it is still so:
open, watermark, records. Whoever changes any of it puts that key. MS is 16 hexadecimal digits, so the order of the
keys is that of time. No key is changed by all servers but `boot`, at their starts.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
from msgspec import Struct

from oncekv.kv.values import Row

__all__ = [
    "MIGRATING",
    "SCHEMA",
    "KeyedDocument",
    "Layout",
    "ServerDocument",
    "SessionDocument",
    "pack_document",
    "pack_row",
    "unpack_keyed",
    "unpack_row",
    "unpack_server",
    "unpack_session",
]

SCHEMA = b"1"
MIGRATING = b"migrating"


class SessionDocument(Struct, array_like=True):
    """`answers`: seq → fingerprint and reply of each record; empty where it has a key of its own. `due_ms`: at which
    time its entry in `due` stands.
    """

    lease_ms: int
    expires_ms: int
    acked: int
    due_ms: int
    answers: dict[int, bytes]


class KeyedDocument(Struct, array_like=True):
    expires_ms: int
    answer: bytes


class ServerDocument(Struct):
    """`transaction`: the number of the last one that this server has committed, or has kept from being committed."""

    transaction: int = 0
    clock_ms: int = 0
    sessions: int = 0
    records: int = 0


class Layout:
    """The keys of one store."""

    def __init__(self, prefix: bytes) -> None:
        self.prefix = prefix
        self.schema = prefix + b"schema"
        self.boot = prefix + b"boot"
        self.probe = prefix + b"probe"
        """Never there."""
        self.rows = prefix + b"kv/"
        self.sessions = prefix + b"session/"
        self.dues = prefix + b"due/"
        self.keyed_dues = prefix + b"keyed-due/"
        self.servers = prefix + b"server/"
        self.gone = self.server("gone")

    def row(self, key: str) -> bytes:
        return self.rows + key.encode()

    def session(self, name: str) -> bytes:
        return self.sessions + name.encode()

    def records(self, name: str) -> bytes:
        return b"%brecord/%b/" % (self.prefix, name.encode())

    def record(self, name: str, seq: int) -> bytes:
        return b"%b%016x" % (self.records(name), seq)

    def due(self, time_ms: int, name: str) -> bytes:
        return b"%b%016x/%b" % (self.dues, time_ms, name.encode())

    def keyed(self, scope: bytes, key: str) -> bytes:
        return b"%bkeyed/%b/%b" % (self.prefix, scope.hex().encode(), key.encode())

    def keyed_due(self, time_ms: int, scope: bytes, key: str) -> bytes:
        return b"%b%016x/%b/%b" % (self.keyed_dues, time_ms, scope.hex().encode(), key.encode())

    def server(self, name: str) -> bytes:
        return self.servers + name.encode()

    def due_name(self, due: bytes) -> Due:
        """What an entry of `due` says."""
        time, _, name = due.removeprefix(self.dues).partition(b"/")
        return Due(int(time, 16), name.decode())

    def keyed_of_due(self, due: bytes) -> bytes:
        """The key of the keyed record that an entry of `keyed-due` speaks of."""
        return self.prefix + b"keyed/" + due.removeprefix(self.keyed_dues).partition(b"/")[2]

    def dues_until(self, time_ms: int) -> bytes:
        """The end of the range of all entries of `due` up to this time."""
        return b"%b%016x" % (self.dues, time_ms + 1)

    def keyed_dues_until(self, time_ms: int) -> bytes:
        return b"%b%016x" % (self.keyed_dues, time_ms + 1)


class Due(NamedTuple):
    """An entry of `due`."""

    time_ms: int
    name: str


def pack_row(row: Row) -> bytes:
    """Version, newline, value."""
    return b"%d\n%b" % (row.version, row.value.encode())


def unpack_row(value: bytes) -> Row:
    """What `pack_row` was given."""
    version, _, text = value.partition(b"\n")
    return Row(text.decode(), int(version))


pack_document = msgspec.msgpack.encode
unpack_session = msgspec.msgpack.Decoder(SessionDocument).decode
unpack_keyed = msgspec.msgpack.Decoder(KeyedDocument).decode
unpack_server = msgspec.json.Decoder(ServerDocument).decode
