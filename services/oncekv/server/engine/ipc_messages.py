"""How calls travel between a worker and the writer's process, and their answers back: MessagePack, many at once. Pure.

    worker ─ (number, size, calls) … ─► writer        number: of the request, given out by the worker
    worker ◄─ (number, answers) … ───── writer

A call travels with what its worker has already found out: its validated params, its metadata, its fingerprint.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from oncerpc.server.dedup.base import IdempotencyKey
from oncerpc.server.rpc.call import Call
from oncerpc.server.rpc.method import Method
from oncerpc.wire.identity import CallMeta
from oncerpc.wire.jsonrpc import Reply

__all__ = ["apply_answers", "pack_answers", "pack_calls", "unpack_answers", "unpack_calls"]

_Call = tuple[str, msgspec.Raw, CallMeta, tuple[bytes, str] | None, float | None, bool, bytes]
_Answer = tuple[tuple[bool, bytes] | None, bool, bool, bool, str | None]
Answers = Sequence[_Answer]

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.decode
_decode_requests = msgspec.msgpack.Decoder(list[tuple[int, int, list[_Call]]]).decode
_decode_answers = msgspec.msgpack.Decoder(list[tuple[int, list[_Answer]]]).decode


def pack_calls(requests: Iterable[tuple[int, int, Sequence[Call]]]) -> bytes:
    """For the writer."""
    return _encode([(number, size, [_packed(call) for call in calls]) for number, size, calls in requests])


def unpack_calls(data: bytes, methods: Mapping[str, Method]) -> list[tuple[int, int, list[Call]]]:
    """At the writer: the requests in order."""
    return [
        (number, size, [_unpacked(methods, *packed) for packed in calls])
        for number, size, calls in _decode_requests(data)
    ]


def pack_answers(requests: Iterable[tuple[int, Sequence[Call]]]) -> bytes:
    """For the worker: what became of the calls."""
    return _encode([
        (number, [(call.reply, call.replayed, call.ran, call.dropped, call.refusal) for call in calls])
        for number, calls in requests
    ])  # fmt: skip


def unpack_answers(data: bytes) -> list[tuple[int, list[_Answer]]]:
    """At the worker: what belongs to which request."""
    return _decode_answers(data)


def apply_answers(calls: Sequence[Call], answers: Answers) -> None:
    """Let the worker's calls have their answers."""
    for call, answer in zip(calls, answers, strict=True):
        reply, call.replayed, call.ran, call.dropped, call.refusal = answer
        call.reply = Reply(*reply) if reply is not None else None


def _packed(call: Call) -> tuple[Any, ...]:
    has_identity = call.meta.seq is not None or call.key is not None
    fingerprint = call.fingerprint if has_identity else b""
    return call.method.name, call.params, call.meta, call.key, call.deadline_s, call.changes_store, fingerprint


def _unpacked(
    methods: Mapping[str, Method], name: str, params: msgspec.Raw, meta: CallMeta, key: tuple[bytes, str] | None,
    deadline_s: float | None, changes_store: bool, fingerprint: bytes,
) -> Call:  # fmt: skip
    method = methods[name]
    call = Call(method, meta, fingerprint)
    call.params = _decode(params, type=method.params)
    call.key = IdempotencyKey(*key) if key is not None else None
    call.deadline_s = deadline_s
    call.changes_store = changes_store
    return call
