"""Several calls in one HTTP request, each with its own identity, its own outcome and its own retries.

    with kv.batch() as b:
        first = b.append("k", "x")
        second = b.get("k")
    first.result()          # raises or returns as the call alone would

One POST carries them all, or as many as fit (`chunks`): the next chunk leaves when each call of the one before has
its outcome, so a batch may have any number of calls, and they take effect in their order. What is not settled by a
reply goes out again, in a smaller batch, under the same identities. The server runs the calls as it would run single
ones: a batch is not a transaction (`txn` is), and one that fails stops no other. The timeout is for the whole batch.

Place on the way: stub (1). Limits: a call that is refused for load is made again behind those of its chunk that were
not. Under exactly-once a batch is as large as the room in the outbox, or OutboxError; all of it is in there before its
first call leaves. A block that raises sends nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from oncerpc.client.fork import Uncopied
from oncerpc.client.outcome import Outcome, result_of
from oncerpc.client.retry.pending_call import PendingCall

__all__ = ["Batch", "Future"]

T = TypeVar("T")


class Future(Uncopied, Generic[T]):
    """A call of a batch; it has an outcome once the batch was sent."""

    def __init__(self, call: PendingCall, read: Callable[[Any], T]) -> None:
        self._call = call
        self._read = read

    @property
    def outcome(self) -> Outcome:
        """What became of the call. Raises RuntimeError before the batch was sent."""
        if self._call.outcome is None:
            raise RuntimeError("the batch was not sent yet: it leaves when its with block ends")
        return self._call.outcome

    def result(self) -> T:
        """The result; raises as the call alone would."""
        return self._read(result_of(self.outcome))


class Batch(Uncopied):
    """Collects calls; a context manager that sends them when it is left without an exception."""

    def __init__(
        self, new_trip: Callable[[str, Mapping[str, Any]], PendingCall], issue: Callable[[Sequence[PendingCall]], None]
    ) -> None:
        self._new_trip = new_trip
        self._issue = issue
        self._calls: list[PendingCall] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        calls, self._calls = self._calls, []  # a batch that is entered again sends what is new
        if kind is None and calls:
            self._issue(calls)

    def call(self, method: str, params: Mapping[str, Any] | None = None) -> Future[Any]:
        """Any method by name."""
        return Future(self._add(method, params or {}), lambda ok: ok.result)

    def _add(self, method: str, params: Mapping[str, Any]) -> PendingCall:
        call = self._new_trip(method, params)
        self._calls.append(call)
        return call
