"""The dedup table, watched: a row comes when a call ran, lights up when a retry hits it, and goes when it is known.

Rows are read from the store itself; which client and call one belongs to is known from the requests that came by. Where
the store cannot be looked into (containers, a store that servers share), rows are made of what the messages show: one
comes with the reply that settles an identified call, and goes when a later request acknowledges it.

Bound: ROWS_MAX rows, and the calls of the last CALLS_MAX identities.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import msgspec

from chaos.live.journal import Journal
from chaos.live.store_file import RecordSeen
from chaos.net.replies import ReplySummary

__all__ = ["Records"]

ROWS_MAX = 500
CALLS_MAX = 2_000
TEXT_MAX = 80
Identity = tuple[str, int]


class Records:
    """Those of one server, or of one store. `read`: None where the store cannot be looked into."""

    def __init__(self, server: str, journal: Journal, read: Callable[[], list[RecordSeen] | None] | None) -> None:
        self._server = server
        self._journal = journal
        self._read = read
        self._lock = threading.RLock()
        self._rows: dict[Identity, str] = {}
        self._calls: OrderedDict[Identity, str] = OrderedDict()
        self._clients: dict[str, str] = {}
        self._acked: dict[str, int] = {}

    def arrived(self, client: str, call: str, body: bytes) -> None:
        """A request has come: whose it is, and what it acknowledges."""
        session, seq, acked = _meta_of(body)
        if not session:
            return
        with self._lock:
            self._clients[session] = client
            while len(self._clients) > CALLS_MAX:
                del self._clients[next(iter(self._clients))]
            self._acked[session] = max(acked, self._acked.get(session, 0))
            if seq:
                self._calls[session, seq] = call
                while len(self._calls) > CALLS_MAX:
                    self._calls.popitem(last=False)
            if self._read is None:
                self._go_acknowledged()

    def answered(self, body: bytes, said: ReplySummary) -> None:
        """A reply has left the server."""
        session, seq, _acked = _meta_of(body)
        if not session or not seq:
            return
        with self._lock:
            if said.answer == "replayed":
                if (session, seq) not in self._rows:
                    self.look()
                self._tell((session, seq), "hit", "")
            elif self._read is None and said.settles and (session, seq) not in self._rows:
                self._come((session, seq), msgspec.json.encode(said.content).decode()[:TEXT_MAX])

    def look(self) -> None:
        """Compare with the store."""
        seen = self._read() if self._read is not None else None
        if seen is None:
            return
        with self._lock:
            known = [one for one in seen if (one.session, one.seq) in self._calls]
            there = {(one.session, one.seq): one.reply for one in known[:ROWS_MAX]}
            for identity in [one for one in self._rows if one not in there]:
                self._go(identity, "acknowledged" if self._is_acknowledged(identity) else "expired")
            for identity, reply in there.items():
                if identity not in self._rows:
                    self._come(identity, reply)

    def lost(self, why: str) -> None:
        """All of them are gone."""
        with self._lock:
            for identity in list(self._rows):
                self._go(identity, why)

    def tell(self) -> None:
        """All that are there, as events."""
        with self._lock:
            for identity in self._rows:
                self._tell(identity, "added", "")

    def has(self, call: str) -> bool:
        """Whether a row of that call is there."""
        with self._lock:
            return any(self._calls.get(identity) == call for identity in self._rows)

    def _is_acknowledged(self, identity: Identity) -> bool:
        return identity[1] <= self._acked.get(identity[0], 0)

    def _go_acknowledged(self) -> None:
        for identity in [one for one in self._rows if self._is_acknowledged(one)]:
            self._go(identity, "acknowledged")

    def _come(self, identity: Identity, reply: str) -> None:
        if len(self._rows) < ROWS_MAX:
            self._rows[identity] = reply
            self._tell(identity, "added", "")

    def _go(self, identity: Identity, why: str) -> None:
        self._tell(identity, "gone", why)
        del self._rows[identity]

    def _tell(self, identity: Identity, change: str, why: str) -> None:
        session, seq = identity
        client = self._clients.get(session, session[:6])
        self._journal.add(
            "record", server=self._server, client=client, row=f"{client}/{seq}", change=change, why=why,
            reply=self._rows.get(identity, ""), call=self._calls.get(identity, ""),
        )  # fmt: skip


def _meta_of(body: bytes) -> tuple[str, int, int]:
    """Session, seq and watermark of a request; empty where it has none."""
    try:
        meta: dict[str, Any] = msgspec.json.decode(body)["params"].get("_meta", {})
        return str(meta.get("session") or ""), int(meta.get("seq") or 0), int(meta.get("acked") or 0)
    except (msgspec.DecodeError, LookupError, TypeError, ValueError, AttributeError):
        return "", 0, 0
