"""The messages on their way, and which way they went: what both ends of a link say of them, put together.

A request is begun at its client's end, dwells there, goes into the link, and arrives when the server's end sees it;
a reply the other way round. So what is told of a message was seen at the end that it came to: arrived, or blocked by a
link that swallowed it; refused by a server that is gone; lost because somebody took it away, or nobody waited for it.

Bound: of the requests that were sent the last COPIES_MAX are kept, to be sent once more late.
"""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from chaos.live.journal import Journal
from chaos.live.links import LiveLink
from chaos.live.pace import Pace, Waiter
from chaos.net.replies import ReplySummary

__all__ = ["Flight", "Message", "Messages"]

COPIES_MAX = 300
SEEN_MAX_S = 0.3


@dataclass
class Message:
    """One way of one attempt."""

    id: str
    kind: str
    flight: Flight
    by: str = ""
    """Who took it away."""
    waiter: Waiter | None = None
    ended: threading.Event = field(default_factory=threading.Event)


@dataclass
class Flight:
    """One attempt, there and back. `request_bytes`: what is sent."""

    link: LiveLink
    call: str
    attempt: int
    copy: bool
    request_bytes: bytes
    request: Message | None = None
    reply: Message | None = None
    is_abandoned: bool = False
    """Its client waits for no reply any more."""


class Messages:
    """Safe for threads."""

    def __init__(self, journal: Journal, pace: Pace) -> None:
        self._journal = journal
        self._pace = pace
        self._lock = threading.RLock()
        self._number = 0
        self._on_way: dict[str, Message] = {}
        self._sent: dict[tuple[str, str, int], list[Flight]] = {}
        self._kept: OrderedDict[tuple[str, int], Flight] = OrderedDict()
        self._calls: OrderedDict[str, str] = OrderedDict()  # of messages: their calls

    def begin_request(self, link: LiveLink, call: str, attempt: int, data: bytes, *, copy: bool = False) -> Flight:
        """A request sets out, and dwells."""
        flight = Flight(link, call, attempt, copy, data)
        flight.request = self._begin("request", flight, {})
        if not copy:
            with self._lock:
                self._kept[call, attempt] = flight
                while len(self._kept) > COPIES_MAX:
                    self._kept.popitem(last=False)
        return flight

    def begin_reply(self, flight: Flight, said: ReplySummary) -> Message:
        """Its reply sets out, and dwells."""
        flight.link.count("down_in")
        outcome = "ok" if said.answer in ("ok", "replayed") else said.answer
        replayed = said.answer == "replayed"
        if replayed and isinstance(said.content, dict) and "code" in said.content:
            outcome = str(said.content.get("data", {}).get("name", "error"))
        flight.reply = self._begin("reply", flight, {"outcome": outcome, "replayed": replayed})
        return flight.reply

    @property
    def is_over(self) -> bool:
        """Whether all ends: no message is on its way any more, and nobody loses patience with one."""
        return self._pace.is_closed

    def dwell(self, message: Message) -> bool:
        """Until it has travelled; false when it was taken away, and that is told."""
        assert message.waiter is not None
        if message.waiter.wait():
            return True
        self.end(message, "lost", message.by)
        return False

    def sent(self, flight: Flight) -> None:
        """The request goes into the link; where that is cut, it is told whether it came through."""
        with self._lock:
            self._sent.setdefault((flight.link.id, flight.call, flight.attempt), []).append(flight)

    def into_link(self, message: Message) -> None:
        """It has been handed to the link. One that is cut swallows it, which is seen from its not coming out."""
        link = message.flight.link
        link.count("up_in" if message.kind == "request" else "")
        way = link.up if message.kind == "request" else link.down
        if way == "cut" and not message.ended.wait(SEEN_MAX_S):
            self.end(message, "blocked", "link")

    def seen(self, link: LiveLink, call: str, attempt: int, *, refused: bool) -> Flight | None:
        """A request has come out of the link; None for one that nobody sent."""
        with self._lock:
            waiting = self._sent.get((link.id, call, attempt), [])
            flight = waiting.pop(0) if waiting else None
            if not waiting:
                self._sent.pop((link.id, call, attempt), None)
        link.count("up_out")
        if flight is not None and flight.request is not None:
            self.end(flight.request, *(("refused", "server") if refused else ("arrived", "")))
        return flight

    def reply_came(self, flight: Flight) -> None:
        """Out of the link, at its client."""
        flight.link.count("down_out")
        if flight.reply is not None:
            self.end(flight.reply, "arrived", "")

    def nobody_waits(self, flight: Flight) -> None:
        """The client's connection has ended: whatever of this attempt is on its way comes to nobody."""
        flight.is_abandoned = True
        with self._lock:
            waiting = self._sent.get((flight.link.id, flight.call, flight.attempt), [])
            if flight in waiting and flight.link.up != "slow":
                waiting.remove(flight)
        reply = flight.reply
        if reply is not None and reply.waiter is not None and reply.waiter.is_over:
            self.end(reply, "lost", "client")

    def reset(self, flight: Flight) -> None:
        """The connection broke under it."""
        for message in (flight.request, flight.reply):
            if message is not None:
                self.end(message, "reset", "server" if message is flight.request else "link")

    def end(self, message: Message, end: str, by: str) -> None:
        """What became of it; the first word counts."""
        with self._lock:
            if self._on_way.pop(message.id, None) is None:
                return
            self._journal.add("message-end", id=message.id, end=end, by=by)
        message.ended.set()

    def lose(self, message_id: str, by: str) -> Message:
        """Take it away while it travels. Raises LookupError when there is none to take."""
        with self._lock:
            message = self._on_way.get(message_id)
            if message is None or message.waiter is None:
                raise LookupError(message_id)
            message.by = by
            if not self._pace.cancel(message.waiter):
                raise LookupError(message_id)
        return message

    def lose_all(self, by: str) -> None:
        """Whatever travels."""
        for message in self.on_way():
            with contextlib.suppress(LookupError):
                self.lose(message.id, by)

    def on_way(self) -> list[Message]:
        """Those that travel now, in the order in which they set out."""
        with self._lock:
            return list(self._on_way.values())

    def kept(self, call: str) -> Flight | None:
        """The last attempt of that call whose bytes are still here."""
        with self._lock:
            found = [flight for (name, _), flight in self._kept.items() if name == call]
        return found[-1] if found else None

    def call_of(self, message_id: str) -> str | None:
        """The call of a message, unless it is long ago."""
        with self._lock:
            return self._calls.get(message_id)

    def _begin(self, kind: str, flight: Flight, more: dict[str, Any]) -> Message:
        link = flight.link
        with self._lock:
            self._number += 1
            message = Message(f"m{self._number}", kind, flight)
            self._on_way[message.id] = message
            self._calls[message.id] = flight.call
            while len(self._calls) > COPIES_MAX * 2:
                self._calls.popitem(last=False)
            self._journal.add(
                "message", id=message.id, call=flight.call, client=link.client, server=link.server, link=link.id,
                attempt=flight.attempt, kind=kind, copy=flight.copy, travel_ms=self._pace.travel_ms, **more,
            )  # fmt: skip
        what = f"{'a late copy of ' if flight.copy else ''}the {kind} of {flight.call}, attempt {flight.attempt}"
        message.waiter = self._pace.begin(self._pace.travel_s, what, message=message.id, owner="messages")
        return message
