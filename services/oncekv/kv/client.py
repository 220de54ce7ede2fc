"""The typed client of the key/value service: each method as a function of its own params, its answer as a struct.

    with connect("http://127.0.0.1:8001") as kv:
        kv.append("k", "x")                                  a struct of kv.results, or an exception
        kv.using(semantics="maybe").increment("n", by=2)     the same client, other promises
        with kv.batch() as batch:                            many calls in one request
            batch.append("k", "y")

Place on the way: stub (1). What is not about keys and values is `client.api.stub`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from oncekv.kv import typed_calls
from oncekv.kv.results import Appended, Deleted, Incremented, Page, Row, TxnDone, Written
from oncerpc.client.api.batch import Batch, Future
from oncerpc.client.api.stub import Client
from oncerpc.client.outcome import result_of

__all__ = ["KvBatch", "KvClient", "connect"]

T = TypeVar("T")


class KvClient(Client):
    """A client of one key/value server."""

    def get(self, key: str) -> Row:
        """The value and version of a key: None and 0 where it is absent."""
        return self._typed(typed_calls.get(key))

    def put(self, key: str, value: str, if_version: int | None = None) -> Written:
        """Sets a key's value. Raises VersionMismatch if `if_version` is given and is not the key's version."""
        return self._typed(typed_calls.put(key, value, if_version))

    def append(self, key: str, value: str) -> Appended:
        """Appends to a key's value; `offset` tells where."""
        return self._typed(typed_calls.append(key, value))

    def increment(self, key: str, by: int = 1) -> Incremented:
        """Adds to a key's integer. Raises NotAnInteger where it is none, or leaves 64 bits."""
        return self._typed(typed_calls.increment(key, by))

    def delete(self, key: str, if_version: int | None = None) -> Deleted:
        """Deletes a key. Raises VersionMismatch as `put`."""
        return self._typed(typed_calls.delete(key, if_version))

    def txn(self, ops: Sequence[typed_calls.Op], checks: Sequence[typed_calls.Op] = ()) -> TxnDone:
        """Up to 128 ops, all or nothing, if all checks `{"key", "version"}` hold."""
        return self._typed(typed_calls.txn(ops, checks))

    def list(self, prefix: str = "", limit: int = 100, after: str = "") -> Page:
        """A page of keys in order, at most 1,000; `next` is the `after` of the next page."""
        return self._typed(typed_calls.list_keys(prefix, limit, after))

    def batch(self) -> KvBatch:
        """Calls that leave together, when its `with` block ends, each with its own identity and outcome."""
        return KvBatch(self._call, self._issue_batch)

    def _typed(self, call: typed_calls.TypedCall[T]) -> T:
        return call.read(result_of(self.outcome(call.method, call.params)))


class KvBatch(Batch):
    """The same methods, collected."""

    def get(self, key: str) -> Future[Row]:
        """As the client's."""
        return self._typed(typed_calls.get(key))

    def put(self, key: str, value: str, if_version: int | None = None) -> Future[Written]:
        """As the client's."""
        return self._typed(typed_calls.put(key, value, if_version))

    def append(self, key: str, value: str) -> Future[Appended]:
        """As the client's."""
        return self._typed(typed_calls.append(key, value))

    def increment(self, key: str, by: int = 1) -> Future[Incremented]:
        """As the client's."""
        return self._typed(typed_calls.increment(key, by))

    def delete(self, key: str, if_version: int | None = None) -> Future[Deleted]:
        """As the client's."""
        return self._typed(typed_calls.delete(key, if_version))

    def txn(self, ops: Sequence[typed_calls.Op], checks: Sequence[typed_calls.Op] = ()) -> Future[TxnDone]:
        """As the client's."""
        return self._typed(typed_calls.txn(ops, checks))

    def list(self, prefix: str = "", limit: int = 100, after: str = "") -> Future[Page]:
        """As the client's."""
        return self._typed(typed_calls.list_keys(prefix, limit, after))

    def _typed(self, call: typed_calls.TypedCall[T]) -> Future[T]:
        return Future(self._add(call.method, call.params), call.read)


connect = KvClient.connect
