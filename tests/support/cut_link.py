"""A TCP link that is cut at a word: before the word goes on, or after it went and before the answer comes back."""

from __future__ import annotations

import contextlib
import socket

from chaos.net.tcp_link import TcpLink, end

__all__ = ["CutLink"]


class CutLink(TcpLink):
    """Hands bytes on until it is told where to cut."""

    def __init__(self, upstream_port: int) -> None:
        self._word, self._lets_through, self._count = b"", False, 0
        self._for_good = False
        self.cuts = 0
        super().__init__(upstream_port)

    def cut_at(self, word: bytes, *, lets_through: bool, count: int = 1, for_good: bool = False) -> None:
        """Cut everything when the client says this word the next `count` times; `lets_through`: the word still goes.

        `for_good`: from then on it is down.
        """
        self._word, self._lets_through, self._count = word, lets_through, count
        self._for_good = for_good

    def _cut_all_but(self, kept: socket.socket | None) -> None:
        self.cuts += 1
        super()._cut_all_but(kept)

    def _pump(self, source: socket.socket, target: socket.socket, is_request: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if is_request and self._count and self._word in data:
                    self._count -= 1
                    self.is_down = self.is_down or self._for_good
                    self._cut_all_but(target)  # first, or a quick answer would slip back before the cut
                    if self._lets_through:
                        target.sendall(data)
                    end(target)
                    return
                target.sendall(data)
        self._end_both(source, target)
