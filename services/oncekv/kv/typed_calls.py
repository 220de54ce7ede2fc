"""The methods as functions of their own params: each makes the call's name and params, and knows its answer's shape.

Place on the way: the top of the stub (1), shared by the client and its batches. Pure. `if_version=None` means: at any
version.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

from oncekv.kv.results import Appended, Deleted, Incremented, Page, Row, TxnDone, Written
from oncerpc.client.outcome import Ok

__all__ = ["Op", "TypedCall", "append", "delete", "get", "increment", "list_keys", "put", "txn"]

T = TypeVar("T")
Op = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TypedCall(Generic[T]):
    """A call, and the struct that its result becomes."""

    method: str
    params: dict[str, Any]
    shape: type[T]

    def read(self, ok: Ok) -> T:
        """The result as a struct; `meta` tells of a replay."""
        result = {**ok.result, "_meta": {"replayed": True}} if ok.replayed else ok.result
        return msgspec.convert(result, self.shape)


def get(key: str) -> TypedCall[Row]:
    """The value and version of a key."""
    return TypedCall("kv.get", {"key": key}, Row)


def put(key: str, value: str, if_version: int | None = None) -> TypedCall[Written]:
    """Sets a key's value."""
    return TypedCall("kv.put", {"key": key, "value": value, **_condition(if_version)}, Written)


def append(key: str, value: str) -> TypedCall[Appended]:
    """Appends to a key's value."""
    return TypedCall("kv.append", {"key": key, "value": value}, Appended)


def increment(key: str, by: int = 1) -> TypedCall[Incremented]:
    """Adds to a key's integer; an absent key counts as 0."""
    return TypedCall("kv.increment", {"key": key, "by": by}, Incremented)


def delete(key: str, if_version: int | None = None) -> TypedCall[Deleted]:
    """Deletes a key."""
    return TypedCall("kv.delete", {"key": key, **_condition(if_version)}, Deleted)


def txn(ops: Sequence[Op], checks: Sequence[Op] = ()) -> TypedCall[TxnDone]:
    """Several ops, all or nothing, if all checks hold."""
    return TypedCall("kv.txn", {"checks": list(checks), "ops": list(ops)}, TxnDone)


def list_keys(prefix: str = "", limit: int = 100, after: str = "") -> TypedCall[Page]:
    """The keys that begin with `prefix`, in order, after the key `after`."""
    return TypedCall("kv.list", {"prefix": prefix, "limit": limit, "after": after}, Page)


def _condition(if_version: int | None) -> dict[str, int]:
    return {} if if_version is None else {"if_version": if_version}
