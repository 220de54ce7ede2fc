"""The two ends of a link: message proxies in which a message dwells, so that people see it and can take it away.

    client ──► client's end ──► link ──► server's end ──► server
               requests dwell             replies dwell

Each request goes over a connection of its own from here on, so that a link or a server that breaks breaks what is on
its way and nothing later. Guarantee: what passes is unchanged; what was sent is sent, whether its client still waits or
not. Limit: the end nearer to the server is ours too, so a dead server is seen there and not by the link; in
containers, as soon as it is known to be dead.
"""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Callable

from chaos.live.links import LiveLink
from chaos.live.live_server import LiveServer
from chaos.live.messages import Flight, Messages
from chaos.live.messages import Message as InFlight
from chaos.net.framing import Message, Unframed
from chaos.net.message_proxy import MessageProxy, call_of
from chaos.net.proxied_connection import Ended, ProxiedConnection, ask
from chaos.net.replies import ReplySummary, read
from oncerpc.wire.identity import ATTEMPT_HEADER

__all__ = ["ClientEnd", "ServerEnd"]

QUIET_MAX_S = 24 * 3600.0  # whoever looks at a message may take his time
SERVER_MAX_S = 120.0
_ATTEMPT = re.compile(rb"^%b:\s*(\d{1,9})\r?$" % ATTEMPT_HEADER.encode(), re.IGNORECASE | re.MULTILINE)
_CHUNK_BYTES = 64 * 1024


class _End(MessageProxy):
    """What both have in common: one request after the other from a connection."""

    def __init__(self, link: LiveLink, target_url: str, messages: Messages, host: str = "127.0.0.1") -> None:
        self._link = link
        self._messages = messages
        super().__init__(link.id, target_url, host=host)

    def _relay(self, client: socket.socket) -> None:
        with contextlib.suppress(Ended, OSError, Unframed), self._owned(client):
            client.settimeout(QUIET_MAX_S)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while self._pass(client, _receive(client)):
                pass

    def _pass(self, client: socket.socket, request: Message) -> bool:
        """One request and its reply; whether the connection can go on. Raises Ended, OSError, Unframed."""
        raise NotImplementedError

    def _keep_silent(self, client: socket.socket) -> None:
        """Say nothing, until the other end closes; not when all ends, for then nobody is left to lose patience."""
        with contextlib.suppress(OSError):
            while not self._messages.is_over and client.recv(_CHUNK_BYTES):
                pass


class ClientEnd(_End):
    """Nearer to the client."""

    def __init__(self, link: LiveLink, target_url: str, messages: Messages) -> None:
        self._serving: dict[tuple[str, int], socket.socket] = {}
        super().__init__(link, target_url, messages)

    def give_up(self, call: str, attempt: int) -> None:
        """The client waits no longer for that attempt: its connection ends."""
        with self._lock:
            client = self._serving.get((call, attempt))
        if client is not None:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    def drop_all(self) -> None:
        """Whoever waits for a reply here waits no longer."""
        with self._lock:
            waiting = list(self._serving)
        for call, attempt in waiting:
            self.give_up(call, attempt)

    def send_copy(self, kept: Flight) -> None:
        """The bytes of an old request, once more. Returns at once."""
        self._start(self._send_copy, kept)

    def _pass(self, client: socket.socket, request: Message) -> bool:
        call = call_of(request.body)
        if call is None:
            with self._dialled() as target:
                ProxiedConnection(client, target).exchange(request.data, hand_on=True)
            client.settimeout(QUIET_MAX_S)
            return True
        attempt = _attempt_of(request.data)
        with self._lock:
            self._serving[call, attempt] = client
        try:
            reply = self._fly(client, self._messages.begin_request(self._link, call, attempt, bytes(request.data)))
        finally:
            with self._lock:
                self._serving.pop((call, attempt), None)
        client.sendall(reply)
        return True

    def _fly(self, client: socket.socket, flight: Flight) -> bytes:
        """Raises Ended when no reply comes."""
        assert flight.request is not None
        if not self._messages.dwell(flight.request):
            self._keep_silent(client)
            raise Ended()
        with self._dialled() as target:
            self._send(target, flight, flight.request)
            try:
                reply = ProxiedConnection(client, target, QUIET_MAX_S).exchange(b"", hand_on=False)
            except Ended:
                self._messages.nobody_waits(flight)
                raise
        self._messages.reply_came(flight)
        return bytes(reply.data)

    def _send(self, target: socket.socket, flight: Flight, request: InFlight) -> None:
        """Into the link, which may swallow it. Raises OSError."""
        self._messages.sent(flight)
        target.sendall(flight.request_bytes)
        self._messages.into_link(request)

    def _send_copy(self, kept: Flight) -> None:
        flight = self._messages.begin_request(self._link, kept.call, kept.attempt, kept.request_bytes, copy=True)
        assert flight.request is not None
        if not self._messages.dwell(flight.request):
            return
        with contextlib.suppress(Ended, OSError, Unframed), self._dialled() as target:
            self._send(target, flight, flight.request)
            if self._link.up != "cut":
                ask(target, b"", QUIET_MAX_S)
                self._messages.reply_came(flight)
                return
        self._messages.nobody_waits(flight)


class ServerEnd(_End):
    """Nearer to the server. `arrived` and `answered` are told of every call that comes to the server."""

    def __init__(
        self, link: LiveLink, server: LiveServer, messages: Messages, arrived: Callable[[str, str, bytes], None],
        answered: Callable[[str, str, bytes, ReplySummary], None], host: str,
    ) -> None:  # fmt: skip
        self._server, self._arrived, self._answered = server, arrived, answered
        super().__init__(link, server.server.url, messages, host)

    def _pass(self, client: socket.socket, request: Message) -> bool:
        call = call_of(request.body)
        if call is None:
            with self._dialled() as target:
                client.sendall(ask(target, bytes(request.data), SERVER_MAX_S).data)
            return True
        with contextlib.ExitStack() as stack:
            try:
                self._server.be_there()
                target = stack.enter_context(self._dialled())
            except OSError:
                self._messages.seen(self._link, call, _attempt_of(request.data), refused=True)
                raise
            flight = self._messages.seen(self._link, call, _attempt_of(request.data), refused=False)
            self._arrived(self._link.server, call, request.body)
            reply = ask(target, bytes(request.data), SERVER_MAX_S)
        said = read(reply)
        self._answered(self._link.server, call, request.body, said)
        return self._hand_back(client, bytes(reply.data), flight, said)

    def _hand_back(self, client: socket.socket, data: bytes, flight: Flight | None, said: ReplySummary) -> bool:
        if flight is None:
            client.sendall(data)
            return True
        message = self._messages.begin_reply(flight, said)
        if not self._messages.dwell(message):
            if not flight.copy:
                self._keep_silent(client)
            return False
        if flight.is_abandoned:
            self._messages.end(message, "lost", "client")
            return False
        try:
            client.sendall(data)
        except OSError:
            self._messages.end(message, "lost", "client")
            raise
        self._messages.into_link(message)
        return True


def _receive(client: socket.socket) -> Message:
    """The next request, whole. Raises Ended, OSError, Unframed."""
    request = Message()
    while not request.whole:
        if not (chunk := client.recv(_CHUNK_BYTES)):
            raise Ended()
        request.feed(chunk)
    return request


def _attempt_of(request: bytes | bytearray) -> int:
    head = bytes(request).partition(b"\r\n\r\n")[0]
    found = _ATTEMPT.search(head)
    return int(found.group(1)) if found else 1
