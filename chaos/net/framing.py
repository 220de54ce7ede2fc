"""Framing: where an HTTP/1.1 message ends, found as its bytes come in.

Place: under the message proxy, which must tell one message from the next to lose or double exactly one.
Guarantee: `data` is what was fed, byte for byte. Limit: the end is known by Content-Length alone; whatever else HTTP
allows (chunks, a reply that ends with its connection, HEAD, pipelining) raises Unframed instead of being guessed.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["BODY_BYTES_MAX", "HEAD_BYTES_MAX", "Message", "Unframed"]

HEAD_BYTES_MAX = 64 * 1024
BODY_BYTES_MAX = 64 * 1024 * 1024

_HEAD_END = b"\r\n\r\n"
_NO_BODY = (204, 304)


class Unframed(ValueError):
    """Nobody here can tell where this message ends; the message says why."""


class Message:
    """One request, or one reply with the interim ones (1xx) before it. `feed` it until it is `whole`."""

    def __init__(self, *, is_reply: bool = False) -> None:
        self.data = bytearray()
        self.status = 0
        """The reply's HTTP status, once its head is there."""
        self._is_reply = is_reply
        self._head_at = 0
        self._body_at = 0
        self._end_at: int | None = None

    @property
    def whole(self) -> bool:
        return self._end_at is not None and len(self.data) == self._end_at

    @property
    def body(self) -> bytes:
        """Its body, once it is whole."""
        return bytes(self.data[self._body_at :])

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes. Raises Unframed, also for bytes beyond the end."""
        # The blank line may lie across two chunks.
        search_at = max(self._head_at, len(self.data) - len(_HEAD_END) + 1)
        self.data += chunk
        while self._end_at is None and (found := self.data.find(_HEAD_END, search_at)) >= 0:
            head = bytes(self.data[self._head_at : found])
            self._head_at = search_at = found + len(_HEAD_END)
            self._read_head(head)
        if self._end_at is None and len(self.data) > HEAD_BYTES_MAX:
            raise Unframed(f"a head over {HEAD_BYTES_MAX} bytes")
        if self._end_at is not None and len(self.data) > self._end_at:
            raise Unframed("bytes beyond the message's end; pipelining is not carried")

    def _read_head(self, head: bytes) -> None:
        first, *lines = head.split(b"\r\n")
        if self._is_reply:
            self.status = _status(first)
            if self.status < 200:
                return  # interim: the head of the reply itself is still to come
        elif first.startswith(b"HEAD "):
            raise Unframed("HEAD: its reply has a length and no body")
        length = _length(lines)
        if self.status in _NO_BODY or (length is None and not self._is_reply):
            length = 0
        if length is None:
            raise Unframed("a reply without Content-Length")
        self._body_at, self._end_at = self._head_at, self._head_at + length


def _status(first_line: bytes) -> int:
    words = first_line.split(b" ", 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not (len(words[1]) == 3 and words[1].isdigit()):
        raise Unframed("a reply that is not HTTP/1")
    return int(words[1])


def _length(lines: Iterable[bytes]) -> int | None:
    found = set()
    for line in lines:
        name, _, value = line.partition(b":")
        if name.lower() == b"transfer-encoding":
            raise Unframed("Transfer-Encoding; only Content-Length is carried")
        if name.lower() == b"content-length":
            found.add(value.strip())
    if not found:
        return None
    value = found.pop()
    if found or not value.isdigit() or len(value) > 12 or int(value) > BODY_BYTES_MAX:
        raise Unframed("a Content-Length that is not a length up to 64 MiB, or several")
    return int(value)
