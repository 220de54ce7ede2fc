"""Checksums of what SQLite has none for (step 10): a flipped bit in a value or record is found, not answered with.

CRC-32 over a key with its value and version, and over a record with its identity; it costs about a microsecond a call.
What was written before schema 3 has none, and gets one when it is written next. Limits: sessions and the tally have
none, and a row that is missing is not missed here (`oncekv verify` counts).
"""

from __future__ import annotations

from zlib import crc32

from oncekv.server.engine.storage.base import Record, RecordRow, unpack
from oncerpc.wire.errors import InternalError
from oncerpc.wire.fingerprint import FINGERPRINT_BYTES
from oncerpc.wire.jsonrpc import Reply

__all__ = ["Damaged", "keyed_crc", "row_crc", "sealed", "unsealed"]

_SEALED = 2
"""A bit of the byte behind a record's fingerprint: its last four bytes are its checksum."""
_MARKED = (bytes([_SEALED]), bytes([_SEALED | 1]))
_CRC_BYTES = 4
_32_BITS = 0xFFFFFFFF


class Damaged(InternalError):
    """What the store holds is not what was written; the call that needs it is told so, and nothing of it runs."""

    def __init__(self, what: str) -> None:
        super().__init__(f"the store is damaged: {what}; see `oncekv verify`")


def row_crc(key: str, value: str, version: int) -> int:
    """Of a key's row."""
    return crc32((key + value).encode(), version & _32_BITS)


def keyed_crc(key: str, fingerprint: bytes, reply: Reply, expires_ms: int) -> int:
    """Of a record under an Idempotency-Key."""
    return crc32(reply.body, crc32(fingerprint, crc32(key.encode(), expires_ms & _32_BITS)) ^ reply.failed)


def sealed(row: RecordRow) -> RecordRow:
    """A record with its checksum."""
    row_id, seq, acked, answer = row
    marked = answer[:FINGERPRINT_BYTES] + _MARKED[answer[FINGERPRINT_BYTES]] + answer[FINGERPRINT_BYTES + 1 :]
    return row_id, seq, acked, marked + _crc(row_id, seq, acked, marked)


def unsealed(row_id: int, seq: int, acked: int, answer: bytes) -> Record:
    """The record. Raises Damaged."""
    flags = answer[FINGERPRINT_BYTES] if len(answer) > FINGERPRINT_BYTES else -1
    if flags in (0, 1):
        return unpack(answer)
    marked = answer[:-_CRC_BYTES]
    if flags not in (_SEALED, _SEALED | 1) or answer[-_CRC_BYTES:] != _crc(row_id, seq, acked, marked):
        raise Damaged(f"the record of call {seq} does not match its checksum")
    return Record(marked[:FINGERPRINT_BYTES], Reply(flags != _SEALED, marked[FINGERPRINT_BYTES + 1 :]))


def _crc(row_id: int, seq: int, acked: int, marked: bytes) -> bytes:
    return crc32(marked, (row_id ^ seq << 8 ^ acked << 16) & _32_BITS).to_bytes(_CRC_BYTES, "big")
