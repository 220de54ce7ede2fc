"""How large a group may grow, and what it will ask for: what can be said of calls before any of them runs.

A store that takes a bounded number of operations in one transaction bounds the group by the keys and sessions that its
calls name. Limit: what a call really needs is known when it has run; a group that is found to be too large after all is
run again in portions (`committer`).
"""

from __future__ import annotations

from collections.abc import Sequence

from oncerpc.server.dedup.base import IdempotencyKey
from oncerpc.server.rpc.call import Call
from oncerpc.server.rpc.method import MethodKind

__all__ = ["GroupRoom", "foreseen"]


class GroupRoom:
    """What a group may still take in, by what its calls may change in the store."""

    def __init__(self, ops_max: int | None) -> None:
        self._left = ops_max
        self._is_empty = True
        self.is_full = False

    def take(self, calls: Sequence[Call]) -> Sequence[Call]:
        """Those at the beginning that fit; the first of a group does in any case, and may be found too large later."""
        if self._left is None:
            return calls
        for number, call in enumerate(calls):
            self._left -= _ops(call)
            if self._left < 0 and not self._is_empty:
                self.is_full = True
                return calls[:number]
            self._is_empty = False
        return calls


def _ops(call: Call) -> int:
    """How many keys and sessions it will change or compare, as good as always."""
    if not call.changes_store:
        return 1
    if call.method.kind is not MethodKind.WRITE:
        return 4
    keys = {*call.method.keys(call.params), *call.method.checks(call.params)}
    return len(keys) + (call.meta.session is not None) + 2 * (call.key is not None)


def foreseen(calls: Sequence[Call]) -> tuple[set[str], set[str], set[IdempotencyKey]]:
    """The sessions, the keys and the Idempotency-Keys that the group will ask the store for."""
    names: set[str] = set()
    keys: set[str] = set()
    keyed: set[IdempotencyKey] = set()
    for call in calls:
        if call.meta.session is not None:
            names.add(call.meta.session)
        if call.key is not None:
            keyed.add(call.key)
        if call.changes_store and call.method.kind is MethodKind.WRITE:
            keys.update(call.method.keys(call.params), call.method.checks(call.params))
    return names, keys, keyed
