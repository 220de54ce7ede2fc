"""A server and a network in memory, in virtual time: thousands of calls over a bad network in a second.

The server keeps the rules of identity (docs/protocol.md) in the plainest way there is; it can also be told to break
them. The network draws each attempt's fate from a seeded source: refused, lost on the way, lost on the way back, cut,
reset, refused for load, failed before or after the effect, held back until long after the client has given up, or
delivered twice. Time passes only by waiting.
"""

from __future__ import annotations

import heapq
import json
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from oncekv.kv.errors import VersionMismatch
from oncerpc.client.retry.retry_loop import Environment
from oncerpc.client.transport.attempt_result import Lost, NotSent
from oncerpc.client.transport.reply import Received
from oncerpc.wire.errors import (
    IdentityReused,
    InternalError,
    Overloaded,
    RpcError,
    SessionUnknown,
    StaleCall,
    WindowExceeded,
)
from oncerpc.wire.jsonrpc import Reply, encode_batch, encode_reply, failure, mark_replayed, success

__all__ = ["CrashedError", "Fates", "ModelServer", "Network"]

WINDOW = 1024


class CrashedError(BaseException):
    """The client's process died here: nothing of it runs on but what a `finally` does in memory."""


@dataclass
class _Session:
    acked: int = 0
    records: dict[int, tuple[str, Reply]] = field(default_factory=dict)


class ModelServer:
    """`effects` counts how often each call's token took effect. `records=False` forgets what ran."""

    def __init__(self, *, records: bool = True) -> None:
        self.effects: Counter[str] = Counter()
        self.values: dict[str, str] = {}
        self.versions: Counter[str] = Counter()
        self.replays = 0
        self._has_records = records
        self._sessions: dict[str, _Session] = {}
        self._opened_by: dict[str, str] = {}
        self._names = 0

    def forget_sessions(self) -> None:
        """All leases are over."""
        self._sessions.clear()

    def handle(self, body: bytes, headers: Mapping[str, str], fails: str = "") -> bytes:
        """The reply to one HTTP body. `fails`: every call fails "before" its effect, or "after" it is committed."""
        content = json.loads(body)
        if isinstance(content, list):
            return encode_batch(encode_reply(one["id"], self._reply(one, headers, fails)) for one in content)
        return encode_reply(content["id"], self._reply(content, headers, fails))

    def _reply(self, request: dict[str, Any], headers: Mapping[str, str], fails: str) -> Reply:
        params = dict(request["params"])
        meta = params.pop("_meta", {})
        try:
            if fails == "before":
                raise InternalError()
            reply = self._dispatch(request["method"], params, meta, headers)
            if fails == "after":
                raise InternalError()
            return reply
        except RpcError as error:
            return failure(error)

    def _dispatch(self, method: str, params: dict[str, Any], meta: dict[str, Any], headers: Mapping[str, str]) -> Reply:
        if method == "session.open":
            return self._open(headers["Idempotency-Key"])
        if "session" not in meta:
            return self._run(method, params)
        session = self._sessions.get(meta["session"])
        if session is None:
            raise SessionUnknown()
        if method == "session.close":
            del self._sessions[meta["session"]]
            return success({"closed": True})
        return self._gate(session, method, params, meta)

    def _open(self, key: str) -> Reply:
        is_open = key in self._opened_by
        if not is_open:
            self._names += 1
            self._opened_by[key] = f"session-{self._names}"
            self._sessions[self._opened_by[key]] = _Session()
        reply = success({"session": self._opened_by[key], "lease_ms": 1000, "window": WINDOW})
        return mark_replayed(reply) if is_open else reply

    def _gate(self, session: _Session, method: str, params: dict[str, Any], meta: dict[str, Any]) -> Reply:
        seq, acked = meta["seq"], meta["acked"]
        assert acked < seq, "the client acknowledged a call that it still makes"
        session.acked = max(session.acked, acked)
        for old in [old for old in session.records if old <= session.acked]:
            del session.records[old]
        if seq <= session.acked:
            raise StaleCall()
        if seq - session.acked > WINDOW:
            raise WindowExceeded()
        payload = json.dumps([method, params], sort_keys=True)
        if seq in session.records:
            if session.records[seq][0] != payload:
                raise IdentityReused()
            self.replays += 1
            return mark_replayed(session.records[seq][1])
        try:
            reply = self._run(method, params)
        except RpcError as error:
            reply = failure(error)
        if self._has_records:
            session.records[seq] = (payload, reply)
        return reply

    def _run(self, method: str, params: dict[str, Any]) -> Reply:
        """kv.get, kv.append and kv.put; the value is the call's own token."""
        key, value = params["key"], params.get("value", "")
        before = self.values.get(key, "")
        if method == "kv.get":
            return success({"value": self.values.get(key), "version": self.versions[key]})
        if method == "kv.put" and params.get("if_version", self.versions[key]) != self.versions[key]:
            raise VersionMismatch(version=self.versions[key])
        self.effects[value] += 1
        self.versions[key] += 1
        self.values[key] = before + value if method == "kv.append" else value
        return success({"version": self.versions[key], "offset": len(before)})


Fates = Mapping[str, int]
"""How often each fate befalls an attempt, in relation to each other."""


class Network:
    """A transport in virtual time; `crash_chance` of dying around each attempt."""

    def __init__(self, server: ModelServer, rng: random.Random, fates: Fates, crash_chance: float = 0.0) -> None:
        self.server = server
        self.now_s = 0.0
        self.attempts = 0
        self._rng = rng
        self._names, self._weights = list(fates), list(fates.values())
        self._crash_chance = crash_chance
        self._held_back: list[tuple[float, int, bytes, Mapping[str, str]]] = []

    @property
    def environment(self) -> Environment:
        """Clock, pause, random source and network for a client."""
        return Environment(self, lambda: self.now_s, self.pause, self._rng.uniform)

    def post(self, url: str, body: bytes, headers: Mapping[str, str], timeout_s: float) -> Received | Lost | NotSent:
        """One attempt, and its fate."""
        self.attempts += 1
        self.maybe_crash()
        self.pause(self._rng.uniform(0.001, 0.01))
        fate = self._rng.choices(self._names, self._weights)[0]
        result: Received | Lost | NotSent = getattr(self, f"_{fate}")(body, headers, timeout_s)
        self.maybe_crash()
        return result

    def close(self) -> None:
        """Nothing to let go."""

    def pause(self, seconds: float) -> None:
        """Time passes, and what was held back arrives."""
        until_s = self.now_s + seconds
        while self._held_back and self._held_back[0][0] <= until_s:
            self.now_s, _, body, headers = heapq.heappop(self._held_back)
            self.server.handle(body, headers)
        self.now_s = until_s

    def settle(self) -> None:
        """Everything that is still under way arrives."""
        self.pause(1e6)

    def maybe_crash(self) -> None:
        """The client's process may die here."""
        if self._rng.random() < self._crash_chance:
            raise CrashedError

    def _ok(self, body: bytes, headers: Mapping[str, str], timeout_s: float) -> Received:
        return Received(200, self.server.handle(body, headers))

    def _refused(self, body: bytes, headers: Mapping[str, str], timeout_s: float) -> NotSent:
        return NotSent("connection refused")

    def _lost_request(self, body: bytes, headers: Mapping[str, str], timeout_s: float) -> Lost:
        self.pause(timeout_s)
        return Lost("timed out")

    def _lost_reply(self, body: bytes, headers: Mapping[str, str], timeout_s: float) -> Lost:
        self.server.handle(body, headers)
        return self._lost_request(body, headers, timeout_s)

    def _reset(self, body: bytes, headers: Mapping[str, str], timeout_s: float) -> Lost:
        self.server.handle(body, headers)
        return Lost("connection lost")

    def _cut(self, body: bytes, headers: Mapping[str, str], timeout_s: float) -> Received:
        whole = self.server.handle(body, headers)
        return Received(200, whole[: self._rng.randrange(len(whole))])

    def _held(self, body: bytes, headers: Mapping[str, str], timeout_s: float) -> Lost:
        self._hold_back(body, headers, timeout_s)
        return self._lost_request(body, headers, timeout_s)

    def _twice(self, body: bytes, headers: Mapping[str, str], timeout_s: float) -> Received:
        self._hold_back(body, headers, timeout_s)
        return self._ok(body, headers, timeout_s)

    def _overloaded(self, body: bytes, headers: Mapping[str, str], timeout_s: float) -> Received:
        return Received(503, encode_reply(None, failure(Overloaded())), retry_after="0.2")

    def _fails_before(self, body: bytes, headers: Mapping[str, str], timeout_s: float) -> Received:
        return Received(200, self.server.handle(body, headers, "before"))

    def _fails_after(self, body: bytes, headers: Mapping[str, str], timeout_s: float) -> Received:
        return Received(200, self.server.handle(body, headers, "after"))

    def _bad_gateway(self, body: bytes, headers: Mapping[str, str], timeout_s: float) -> Received:
        self.server.handle(body, headers)
        return Received(502, b"<html>")

    def _expired(self, body: bytes, headers: Mapping[str, str], timeout_s: float) -> Received:
        self.server.forget_sessions()
        return self._ok(body, headers, timeout_s)

    def _hold_back(self, body: bytes, headers: Mapping[str, str], timeout_s: float) -> None:
        due_s = self.now_s + timeout_s * self._rng.uniform(0.5, 6)
        heapq.heappush(self._held_back, (due_s, self.attempts, body, headers))
