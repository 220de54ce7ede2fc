"""What a server must answer: docs/protocol.md once more, as a dictionary of keys and one of sessions.

It knows nothing of transactions, disks or restarts: a server that is killed must not look any different to it.
"""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple

__all__ = ["WINDOW", "Call", "Expected", "Identity", "Model", "Session"]

WINDOW = 1024
INTEGER = re.compile(r"-?[0-9]+")


class Call(NamedTuple):
    """A method and its params, without the identity."""

    method: str
    params: dict[str, Any]

    def __hash__(self) -> int:
        return hash(repr(self))


class Identity(NamedTuple):
    """`key`: an Idempotency-Key; else a session's name with seq, which is None for a read. All None: no identity."""

    session: str | None = None
    seq: int | None = None
    acked: int = 0
    key: str | None = None


class Expected(NamedTuple):
    """A result, or an error's code; is_replay: marked as one, and the same as the first time."""

    result: dict[str, Any] | None = None
    code: int | None = None
    is_replay: bool = False


@dataclass
class Session:
    """What was answered, by seq, and up to where that was acknowledged."""

    acked: int = 0
    told: dict[int, tuple[Call, Expected]] = field(default_factory=dict)

    def acknowledge(self, acked: int) -> None:
        """The records up to there are gone."""
        self.acked = max(self.acked, acked)
        self.told = {seq: told for seq, told in self.told.items() if seq > self.acked}


class Refused(Exception):
    """The application says no: nothing is changed, and that is recorded."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Model:
    """One store; `answer` is what its next call must be told."""

    def __init__(self) -> None:
        self.rows: dict[str, tuple[str, int]] = {}
        self.sessions: dict[str, Session] = {}
        """Those that are open."""
        self.keyed: dict[str, tuple[Call, Expected]] = {}

    def answer(self, call: Call, identity: Identity) -> Expected:
        """What it must be told, and it has run, if it does."""
        session = None
        if identity.session is not None:
            if identity.seq is not None and identity.acked >= identity.seq:
                return Expected(code=-32602)
            session = self.sessions.get(identity.session)
            if session is None:
                return Expected(code=1001)
            session.acknowledge(identity.acked)
            if identity.seq is not None and (refusal := _refusal(identity.seq, session)):
                return refusal
        if call.method in ("kv.get", "kv.list"):
            return Expected(self._read(call))
        known = self._record(identity, session)
        if known is not None:
            return known[1]._replace(is_replay=True) if known[0] == call else Expected(code=1002)
        told = self._run(call)
        if session is not None and identity.seq is not None:
            session.told[identity.seq] = call, told
        elif identity.key is not None:
            self.keyed[identity.key] = call, told
        return told

    def _record(self, identity: Identity, session: Session | None) -> tuple[Call, Expected] | None:
        if identity.key is not None:
            return self.keyed.get(identity.key)
        return None if session is None or identity.seq is None else session.told.get(identity.seq)

    def _read(self, call: Call) -> dict[str, Any]:
        if call.method == "kv.get":
            return _row(self.rows, call.params["key"])
        keys = sorted(key for key in self.rows if key.startswith(call.params["prefix"]))
        return {"items": [{"key": key, **_row(self.rows, key)} for key in keys], "next": None}

    def _run(self, call: Call) -> Expected:
        rows = copy.copy(self.rows)
        try:
            if call.method == "kv.txn":
                for check in call.params["checks"]:
                    _check(rows, check["key"], check["version"])
                results = [_effect(rows, op["op"], op) for op in call.params["ops"]]
                result: dict[str, Any] = {"results": results}
            else:
                result = _effect(rows, call.method.removeprefix("kv."), call.params)
        except Refused as refused:
            return Expected(code=refused.code)
        self.rows = rows
        return Expected(result)


def _refusal(seq: int, session: Session) -> Expected | None:
    if seq <= session.acked:
        return Expected(code=1003)
    return Expected(code=1004) if seq > session.acked + WINDOW else None


def _row(rows: dict[str, tuple[str, int]], key: str) -> dict[str, Any]:
    value, version = rows.get(key, (None, 0))
    return {"value": value, "version": version}


def _check(rows: dict[str, tuple[str, int]], key: str, version: int | None) -> None:
    if version is not None and rows.get(key, ("", 0))[1] != version:
        raise Refused(22)


def _effect(rows: dict[str, tuple[str, int]], op: str, params: dict[str, Any]) -> dict[str, Any]:
    """Run it on `rows`."""
    key = params["key"]
    value, version = rows.get(key, ("", 0))
    _check(rows, key, params.get("if_version"))
    match op:
        case "get":
            return _row(rows, key)
        case "delete":
            return {"deleted": rows.pop(key, None) is not None}
        case "put":
            rows[key] = params["value"], version + 1
            return {"version": version + 1}
        case "append":
            rows[key] = value + params["value"], version + 1
            return {"version": version + 1, "offset": len(value)}
    if version and not INTEGER.fullmatch(value):
        raise Refused(23)
    number = int(value or 0) + params["by"]
    rows[key] = str(number), version + 1
    return {"value": number, "version": version + 1}
