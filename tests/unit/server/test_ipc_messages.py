"""What a worker hands to the writer arrives as it was, for every method, and so do the answers."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from oncekv.kv.methods import all_methods
from oncekv.server.engine.ipc_messages import apply_answers, pack_answers, pack_calls, unpack_answers, unpack_calls
from oncerpc.server.dedup.base import IdempotencyKey
from oncerpc.server.rpc.call import Call
from oncerpc.wire.errors import Overloaded
from oncerpc.wire.fingerprint import fingerprint
from oncerpc.wire.identity import NO_META, CallMeta
from oncerpc.wire.jsonrpc import success

PARAMS: dict[str, dict[str, Any]] = {
    "kv.put": {"key": "k\0é", "value": "x" * 10_000, "if_version": 2**62},
    "kv.append": {"key": "k", "value": "\U0001f600"},
    "kv.increment": {"key": "k", "by": -(2**63)},
    "kv.delete": {"key": "k"},
    "kv.txn": {
        "checks": [{"key": "c", "version": 0}],
        "ops": [
            {"op": "get", "key": "g"},
            {"op": "put", "key": "p", "value": "", "if_version": 0},
            {"op": "append", "key": "a", "value": "v"},
            {"op": "increment", "key": "i", "by": 2},
            {"op": "delete", "key": "d"},
        ],
    },
    "session.open": {"lease_ms": 5},
    "session.renew": {},
    "session.close": {},
}


def _call(name: str) -> Call:
    method = all_methods()[name]
    call = Call(method, CallMeta("name", 7, 6, 100) if name.startswith("kv.") else NO_META)
    call.params = msgspec.convert(PARAMS[name], method.params)
    call.changes_store, call.deadline_s = True, 12.5
    return call


@pytest.mark.parametrize("name", PARAMS)
def test_a_call_arrives_as_it_was(name: str) -> None:
    """Params, metadata, key, deadline and fingerprint: the writer needs nothing else, and computes none of it anew."""
    call = _call(name)
    if name == "session.open":
        call.key = IdempotencyKey(b"\xff scope", "order-17")
    [(number, size, (there,))] = unpack_calls(pack_calls([(3, 250, [call])]), all_methods())
    assert (number, size) == (3, 250)
    for member in ("method", "params", "meta", "key", "deadline_s", "changes_store"):
        assert getattr(there, member) == getattr(call, member), member
    assert there.fingerprint == fingerprint(name, call.params)


def test_answers_find_their_calls() -> None:
    """A result, a replay, a refusal and a dropped call; many requests in one message keep their numbers."""
    there = [_call("kv.put") for _ in range(4)]
    there[0].reply, there[0].ran = success({"version": 1}), True
    there[1].reply, there[1].replayed = success({"version": 1}), True
    there[2].fail(Overloaded())
    there[3].dropped = True
    here = [_call("kv.put") for _ in range(4)]
    for number, answers in unpack_answers(pack_answers([(8, there[:1]), (9, there[1:])])):
        apply_answers(here[:1] if number == 8 else here[1:], answers)
    for one, other in zip(here, there, strict=True):
        for member in ("reply", "replayed", "ran", "dropped", "refusal"):
            assert getattr(one, member) == getattr(other, member), member
