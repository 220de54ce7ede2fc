"""A committer whose thread does not run, on a store that fails on demand: the test makes the groups and the time."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import msgspec

from oncekv.server.config import Config
from oncekv.server.engine.committer import Committer
from oncekv.server.engine.storage import open_store
from oncekv.server.engine.storage.base import Changes, Store, StoreConflict, StoreOverLimit, StoreRefused, Writer
from oncekv.server.wiring import make_components
from oncerpc.server.dedup.base import IdempotencyKey
from oncerpc.server.leases import LeaseClock
from oncerpc.server.rpc.call import Call
from oncerpc.server.rpc.components import Components
from oncerpc.wire.identity import NO_META, CallMeta

__all__ = ["Bench", "Failing", "name_of", "told"]


class Failing:
    """A store that refuses, or breaks off, whatever would be written while `error` is set."""

    name = "failing"

    def __init__(self, store: Store) -> None:
        self.store = store
        self.error: Exception | None = None
        self.conflicts = 0
        """How many more transactions are given up at their end for somebody else's."""
        self.rows_max: int | None = None
        """A transaction that changes more keys and records than these is over the store's limit."""
        self.group_ops_max, self.clock_pace_ms, self.limits = store.group_ops_max, store.clock_pace_ms, store.limits
        self.boot, self.read, self.check, self.close = store.boot, store.read, store.check, store.close
        self.written = 0

    @contextlib.contextmanager
    def write(self) -> Iterator[Writer]:
        """A replay writes nothing, so it passes on a full disk."""
        if isinstance(self.error, StoreRefused):
            raise self.error
        with self.store.write() as writer:
            apply = writer.apply

            def apply_within_limit(changes: Changes) -> None:
                if self.rows_max is not None and len(changes.rows) + len(changes.records) > self.rows_max:
                    raise StoreOverLimit("too many operations")
                apply(changes)

            writer.apply = apply_within_limit  # type: ignore[method-assign]
            yield writer
            if writer.changed and self.error:  # type: ignore[attr-defined]  # the one engine's
                raise self.error
            if self.conflicts:
                self.conflicts -= 1
                raise StoreConflict("for a test")
            self.written += writer.changed  # type: ignore[attr-defined]


class Bench:
    """A committer whose thread does not run: the test makes the groups, and moves the clock."""

    def __init__(self, url: str, delivery: str = "persisted", **options: Any) -> None:
        config = Config(store_url=url, delivery=delivery, **options)
        self.store = Failing(open_store(url))
        self.now_s = 0.0
        components = make_components(config, self.store, 1, None)
        self.components: Components[Store] = dataclasses.replace(
            components, monotonic_s=lambda: self.now_s, clock=LeaseClock(lambda: self.now_s, 0)
        )
        self.committer = Committer(self.components)

    def call(self, method: str, meta: CallMeta = NO_META, params: Any = None, key: str = "") -> Call:
        """A call that is ready to be run."""
        call = Call(self.components.facts.methods[method], meta)
        call.params = msgspec.convert(params or {}, call.method.params)
        call.changes_store = not call.method.reads(call.params)
        call.key = IdempotencyKey(b"", key) if key else None
        return call

    def to_append(self, session: str, seq: int, acked: int = 0, on: str = "k") -> Call:
        """One character at the end of the key `on`."""
        return self.call("kv.append", CallMeta(session=session, seq=seq, acked=acked), {"key": on, "value": "x"})

    def append(self, session: str, seq: int, acked: int = 0) -> Call:
        """The same, run in a group of its own."""
        return self.run(self.to_append(session, seq, acked))

    def run(self, *calls: Call) -> Call:
        """One group; its last call."""
        self.committer._run_group(calls)
        return calls[-1]

    def run_idle(self) -> None:
        """The group that comes when nobody calls."""
        self.now_s += 1
        self.committer._run_group([])

    def at(self, now_ms: int) -> None:
        """From now on it is so late by the lease clock."""
        self.components.clock.catch_up(now_ms)

    def open(self, lease_ms: int | None = None) -> str:
        """A session's name."""
        return str(told(self.run(self.call("session.open", params={"lease_ms": lease_ms})))["session"])

    def value(self, key: str = "k") -> str | None:
        """What the store holds, not what anybody remembers."""
        with self.store.read() as reader:
            row = reader.row(key)
        return row.value if row else None


def told(call: Call) -> dict[str, Any]:
    """The result, or the error."""
    assert call.reply is not None
    return dict(msgspec.json.decode(call.reply.body))


def name_of(call: Call) -> str:
    """The error's name; empty for a result."""
    return str(told(call).get("data", {}).get("name", ""))
