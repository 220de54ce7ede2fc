"""A batch of any size as chunks that fit: one POST each, one after the other.

A chunk is bounded in calls, so that the batches of several threads find room in one session's window, and in bytes,
because the server takes bodies up to 4 MiB; a call that is larger by itself goes alone, for the server to refuse it.

The next chunk leaves when every call of the one before has its outcome, although two under way would be quicker:
calls of a batch take effect in their order, and a chunk that is lost, or refused for load, goes out again. Had the
next one left meanwhile, a put would undo the later put of the same batch. One connection for both would not help: it
is what breaks.

Place on the way: asked by `issuer`, between stub (1) and retry (2). Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from oncerpc.client.retry.pending_call import PendingCall

__all__ = ["BYTES_MAX", "CALLS_MAX", "chunks"]

CALLS_MAX = 250
"""About a quarter of the session's window."""

BYTES_MAX = 2 * 1024 * 1024
"""Of params, and `ENVELOPE_BYTES` for each call: half of what the server takes."""

ENVELOPE_BYTES = 256
"""At most: what stands around the params, `_meta` included, but for the method's name."""


def chunks(calls: Sequence[PendingCall], window: int) -> Iterator[Sequence[PendingCall]]:
    """the calls in order, in chunks of at least one. `window`: the places of the session."""
    calls_max = min(CALLS_MAX, window)
    chunk: list[PendingCall] = []
    size = 0
    for call in calls:
        trip_size = len(call.params) + len(call.method) + ENVELOPE_BYTES
        if chunk and (len(chunk) == calls_max or size + trip_size > BYTES_MAX):
            yield chunk
            chunk, size = [], 0
        chunk.append(call)
        size += trip_size
    if chunk:
        yield chunk
