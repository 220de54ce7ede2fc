"""How long an Idempotency-Key is remembered, with a clock that the test moves, on a real SQLite file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from oncekv.server.config import Config
from oncekv.server.engine.storage import open_store
from oncekv.server.engine.storage.staged import Group
from oncerpc.server.dedup.base import KEY_KEPT_MS, IdempotencyKey
from oncerpc.server.dedup.persisted import PersistedDedup
from oncerpc.server.sessions import Sessions
from oncerpc.wire.identity import NO_META, CallMeta
from oncerpc.wire.jsonrpc import Reply

DAY_MS = 24 * 60 * 60 * 1000
KEY = IdempotencyKey(b"", "order-17")
REPLY = Reply(False, b'{"version":1}')


@dataclass
class Keyed:
    """An attempt under a key."""

    meta: CallMeta = NO_META
    key: IdempotencyKey | None = KEY
    fingerprint: bytes = b"f"
    key_kept_ms: int = KEY_KEPT_MS


def test_a_key_is_remembered_for_a_day_and_then_forgotten(tmp_path: Path) -> None:
    """Up to 24 hours of running time the first reply comes back; after that the same key is a new call."""
    store = open_store(f"sqlite:///{tmp_path}/kv.db")
    gate = PersistedDedup(Sessions(Config(store_url=""), lambda: "name"))
    assert KEY_KEPT_MS == DAY_MS
    with store.write() as writer:
        group = Group(writer)
        assert gate.admit(group, Keyed(), 0) is None
        gate.record_reply(group, Keyed(), REPLY, 0)
        group.finish(0, save_clock=False)
    with store.write() as writer:
        group = Group(writer)
        assert gate.admit(group, Keyed(), DAY_MS - 1) == REPLY
        assert gate.admit(group, Keyed(), DAY_MS) is None
        group.forget_keyed(DAY_MS)
        group.finish(DAY_MS, save_clock=False)
    with store.read() as reader:
        assert reader.keyed(*KEY) is None
    store.close()
