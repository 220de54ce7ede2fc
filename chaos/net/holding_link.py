"""A TCP link that takes one request out of its way: lost, answered to nobody, or held back until it is too late.

Whoever sent it sees its connection closed. All that goes before and after on other connections passes.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from queue import Empty, Queue
from typing import Literal

from chaos.net.tcp_link import TcpLink, end

__all__ = ["Fate", "HoldingLink"]

Fate = Literal["lost", "answered to nobody", "held back"]
ANSWER_MAX_S = 5.0
ANSWER_PAUSE_S = 0.05


class HoldingLink(TcpLink):
    """Hands bytes on until it is told what to take."""

    def __init__(self, upstream_port: int, host: str = "127.0.0.1") -> None:
        self._word, self._fate = b"", "lost"
        self._silent_s = 0.0
        self._held: tuple[socket.socket, bytes] | None = None
        self._answers: Queue[bytes] = Queue()
        self.taken = threading.Event()
        """The request came."""
        self.answer = b""
        """What it was answered, where nobody else heard it."""
        super().__init__(upstream_port, host)

    def take(self, word: bytes, fate: Fate, silent_s: float = 0.0) -> None:
        """The next request that has this word in it. Its sender hears nothing for so long, and then the end."""
        self.taken.clear()
        self._silent_s = silent_s
        self._fate, self._word = fate, word

    def take_nothing(self) -> None:
        """What was to be taken and has not come passes."""
        self._word = b""

    def release(self) -> bytes:
        """Send the request that is held back after all; what it is answered, nothing if its connection has ended."""
        assert self._held is not None, "nothing is held back"
        upstream, data = self._held
        answer = b""
        with contextlib.suppress(OSError, Empty):
            upstream.sendall(data)
            answer = self._answers.get(timeout=ANSWER_MAX_S)
            while True:
                answer += self._answers.get(timeout=ANSWER_PAUSE_S)
        self._held = None
        end(upstream)
        return answer

    def _pump(self, source: socket.socket, target: socket.socket, is_request: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 20):
                if not is_request and self._held is not None and self._held[0] is source:
                    self._answers.put(data)
                    continue
                if is_request and self._word and self._word in data:
                    self._word = b""
                    self._take(source, target, data)
                    return
                target.sendall(data)
        if self._held is None or self._held[0] not in (source, target):
            self._end_both(source, target)

    def _take(self, client: socket.socket, upstream: socket.socket, data: bytes) -> None:
        if self._fate == "held back":
            self._held = (upstream, data)
        elif self._fate == "answered to nobody":
            self._held = (upstream, data)
            self.answer = self.release()
        else:
            end(upstream)
        time.sleep(self._silent_s)
        self.taken.set()  # before its sender hears of it
        end(client)
