"""The message proxy: loses, doubles, keeps or refuses exactly the messages it is told to, such as the 2nd reply of
call 17.

    client ──► message proxy ──► link (Toxiproxy) ──► server

Toxiproxy works on the bytes of whole connections; it knows neither messages nor calls. The message proxy knows where a
message ends (`framing`), which call an attempt belongs to (workload calls carry their names), and the how-manieth
attempt it is; `rule` says what to do with it. Everything else passes untouched: session.open, and what Toxiproxy
does to the connections below.

Guarantee: the counts are of what was done, not of what was asked for; no thread or socket survives `close`. Limit: one
request at a time on a connection, one call in a request; an `Expect: 100-continue` is waited out by its client.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from chaos.net.framing import Unframed
from chaos.net.proxied_connection import Ended, ProxiedConnection, ask
from chaos.net.replies import NO_ANSWER, REFUSE_413, REFUSE_503, ReplySummary, read, refusal

__all__ = [
    "DUPLICATE",
    "HOLD",
    "KEEP_COPY",
    "LOSE_REPLY",
    "LOSE_REQUEST",
    "PASS",
    "REFUSE_413",
    "REFUSE_503",
    "Delivered",
    "MessageProxy",
    "call_of",
]  # fmt: skip

PASS = "pass"  # noqa: S105 the opposite of losing a message, not the word that opens doors
LOSE_REQUEST = "lose-request"
"""Read whole and not passed on; the connection stays open and silent until the client closes it."""
LOSE_REPLY = "lose-reply"
"""The request is passed on, its reply read whole and not handed on; then silence as above."""
DUPLICATE = "twice"
"""Sent on two connections at once, maybe to two servers; the client gets the reply of the first, the other is read and
dropped.
"""
KEEP_COPY = "keep"
"""Passed on, and a copy kept for `deliver_kept`."""
HOLD = "hold"
"""Not passed on, but kept for `deliver_kept`; silence as above."""

KEPT_MAX = 1_000
THREADS_MAX = 256
CONNECT_MAX_S = 2.0
ANSWER_MAX_S = 5.0
DELIVER_MAX_S = 30.0
CLOSE_MAX_S = 5.0

# Only as a word of its own: a session's random name may have such letters within.
_CALL = re.compile(rb"(?<![\w-])c\d+(?:\.\d+)?-\d+(?![\w-])")


@dataclass(frozen=True)
class Delivered:
    """What became of one kept copy: the HTTP status (0: none came), and what the reply said.

    first: the content of the first reply to the call that its client was sent before the copy went out, if any.
    """

    call: str
    attempt: int
    status: int
    said: ReplySummary
    first: Any = None

    @property
    def answer(self) -> str:
        """In a word."""
        return self.said.answer


@dataclass(frozen=True)
class _Kept:
    call: str
    attempt: int
    request: bytes


class MessageProxy:
    """Carries the messages of one client. `rule(call, attempt)` decides, under a lock, once for each attempt."""

    def __init__(self, name: str, target_url: str, copies_url: str = "", host: str = "127.0.0.1") -> None:
        """`copies_url`: where the second copies of what is doubled go, if not to the target. `host`: listened on."""
        self.name = name
        self.rule: Callable[[str, int], str] = lambda call, attempt: PASS
        self.lost_requests = 0
        self.lost_replies = 0
        self.doubled = 0
        self.refused = 0
        self.refused_retries = 0
        self._target = _address(target_url)
        self._copies_target = _address(copies_url or target_url)
        self._attempts: Counter[str] = Counter()
        self._kept: list[_Kept] = []
        self._first: dict[str, Any] = {}  # of the calls with kept copies
        self._twice: dict[tuple[str, int], list[ReplySummary]] = {}
        self._lock = threading.Lock()
        self._is_closed = False
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server((host, 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://{host}:{self.port}"
        self._start(self._accept)

    def deliver_kept(self, *, forget: bool = False) -> list[Delivered]:
        """Send every kept copy again, in the order kept, each on a connection of its own; with `forget`, never more.

        Bound: what DELIVER_MAX_S does not suffice for is not sent, and has no answer.
        """
        end_s = time.monotonic() + DELIVER_MAX_S
        with self._lock:
            copies = list(self._kept)
            if forget:
                self._kept.clear()
        return [self._deliver(copy, end_s - time.monotonic()) for copy in copies]

    def pairs(self) -> list[tuple[str, ReplySummary, ReplySummary]]:
        """The calls of doubled requests that were answered twice, with both replies."""
        with self._lock:
            return [(call, said[0], said[1]) for (call, _), said in self._twice.items() if len(said) == 2]

    def close(self) -> None:
        """Let nobody else in, end what is under way, and wait until it has ended. Harmless when closed."""
        with self._lock:
            self._is_closed = True
            for end in (self._listener, *self._open):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            threads = list(self._threads)
        end_s = time.monotonic() + CLOSE_MAX_S
        for thread in threads:
            thread.join(max(0.0, end_s - time.monotonic()))
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if not self._start(self._relay, client):
                client.close()

    def _relay(self, client: socket.socket) -> None:
        with contextlib.suppress(Ended, OSError), self._owned(client), self._dialled() as target:
            connection = ProxiedConnection(client, target)
            try:
                while self._carry(connection):
                    pass
            except Unframed as error:
                connection.refuse(str(error))

    def _carry(self, connection: ProxiedConnection) -> bool:
        """One request and what becomes of it; whether the connection can go on. Raises Ended and Unframed."""
        request = connection.request()
        call = call_of(request.body)
        if call is None:
            connection.exchange(request.data, hand_on=True)
            return True
        action, attempt = self._decide(call, bytes(request.data))
        if action in (LOSE_REQUEST, HOLD):
            self._count(lost_requests=int(action == LOSE_REQUEST))
            connection.keep_silent()
            return False
        if action in (REFUSE_413, REFUSE_503):
            connection.answer(refusal(action, request.body))
            self._count(refused=1, refused_retries=int(attempt > 1))
            return True
        if action == DUPLICATE:
            self._send_beside(call, attempt, bytes(request.data))
        reply = read(
            connection.exchange(request.data, hand_on=action != LOSE_REPLY), by_view=_is_of_a_view(request.data)
        )
        if action == LOSE_REPLY:
            self._count(lost_replies=1)
            connection.keep_silent()
            return False
        self._remember(call, attempt, reply)
        return True

    def _decide(self, call: str, request: bytes) -> tuple[str, int]:
        """What to do with a request, and the how-manieth attempt of its call it is."""
        with self._lock:
            self._attempts[call] += 1
            attempt = self._attempts[call]
            action = self.rule(call, attempt)
            assert action in (PASS, LOSE_REQUEST, LOSE_REPLY, DUPLICATE, KEEP_COPY, HOLD, REFUSE_413, REFUSE_503), (
                action
            )
            if action in (KEEP_COPY, HOLD) and len(self._kept) < KEPT_MAX:
                self._kept.append(_Kept(call, attempt, request))
                self._first.setdefault(call, None)
            if action == DUPLICATE and len(self._twice) < KEPT_MAX:
                self._twice[call, attempt] = []
            return action, attempt

    def _remember(self, call: str, attempt: int, said: ReplySummary) -> None:
        """What replies are compared with, where a copy was made."""
        with self._lock:
            if said.settles and call in self._first and self._first[call] is None:
                self._first[call] = said.content
            if (call, attempt) in self._twice:
                self._twice[call, attempt].append(said)

    def _count(self, **more: int) -> None:
        with self._lock:
            for what, count in more.items():
                setattr(self, what, getattr(self, what) + count)

    def _send_beside(self, call: str, attempt: int, request: bytes) -> None:
        """Start the second delivery; its connection stands before either is sent, so that they race."""
        with contextlib.ExitStack() as stack, contextlib.suppress(Ended, OSError):
            target = stack.enter_context(self._dialled(self._copies_target))
            held = stack.pop_all()
            if not self._start(self._finish_beside, held, target, call, attempt, request):
                held.close()

    def _finish_beside(
        self, held: contextlib.ExitStack, target: socket.socket, call: str, attempt: int, request: bytes
    ) -> None:
        with held, contextlib.suppress(Ended, Unframed):
            said = read(ask(target, request, ANSWER_MAX_S), by_view=_is_of_a_view(request))
            self._remember(call, attempt, said)
            self._count(doubled=1)

    def _deliver(self, copy: _Kept, left_s: float) -> Delivered:
        with self._lock:
            first = self._first[copy.call]
        with contextlib.suppress(Ended, Unframed, OSError):
            if left_s > 0:
                with self._dialled() as target:
                    reply = ask(target, copy.request, min(ANSWER_MAX_S, left_s))
                said = read(reply, by_view=_is_of_a_view(copy.request))
                return Delivered(copy.call, copy.attempt, reply.status, said, first)
        return Delivered(copy.call, copy.attempt, 0, NO_ANSWER, first)

    @contextlib.contextmanager
    def _dialled(self, address: tuple[str, int] | None = None) -> Iterator[socket.socket]:
        """A connection to the target, or there, open as long as the block. Raises Ended and OSError."""
        with self._owned(socket.create_connection(address or self._target, CONNECT_MAX_S)) as target:
            yield target

    @contextlib.contextmanager
    def _owned(self, end: socket.socket) -> Iterator[socket.socket]:
        """A socket that `close` can shut down and that is closed here, by its own thread, in the end. Raises Ended."""
        with end:
            with self._lock:
                if self._is_closed:
                    raise Ended()
                self._open.add(end)
            try:
                yield end
            finally:
                with self._lock:
                    self._open.discard(end)

    def _start(self, work: Callable[..., None], *args: object) -> bool:
        """A thread that `close` waits for; False when closed or when there are too many."""
        with self._lock:
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            if self._is_closed or len(self._threads) >= THREADS_MAX:
                return False
            thread = threading.Thread(target=work, args=args, name=f"message-proxy-{self.name}", daemon=True)
            self._threads.append(thread)
            thread.start()
        return True


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 80


def _is_of_a_view(request: bytes | bytearray) -> bool:
    """Whether it goes elsewhere than to the methods, all of which are at /rpc."""
    return request.split(b" ", 2)[1].rpartition(b"/")[2] != b"rpc"


def call_of(body: bytes) -> str | None:
    """The name of the workload call that a request makes; None for other requests."""
    found = _CALL.search(body)
    return found.group().decode() if found else None
