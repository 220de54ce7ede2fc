"""The typed stub: remote calls that look like local ones, and say so when they are not.

    with connect("http://127.0.0.1:8001") as kv:
        kv.append("k", "x")                                  a struct of wire.calls, or an exception
        kv.using(semantics="maybe").increment("n", by=2)     the same client, other promises
        kv.call("kv.get", {"key": "k"})                      any method; the result object
        kv.outcome("kv.append", {"key": "k", "value": "x"})  never raises for what became of the call

Place on the way: stub (1), where a call begins and ends. Safe for threads, which share one session. What a call may
raise stands in `outcome`; before it begins also TypeError or ValueError for params that are no JSON, OutboxError.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias, TypeVar

from oncekv.client.api.batch import Batch
from oncekv.client.api.core import Core
from oncekv.client.fork import Uncopied
from oncekv.client.outcome import ClientClosed, Failed, Outcome, result_of
from oncekv.client.retry.decision import Kind
from oncekv.client.retry.pending_call import PendingCall
from oncekv.client.semantics import Semantics, is_harmless
from oncekv.client.session.issuer import Recovered
from oncekv.client.transport.request import encode_params
from oncekv.kv import typed_calls
from oncekv.wire.calls import Appended, Deleted, Incremented, Page, Row, TxnDone, Written

__all__ = ["BY_SEMANTICS", "TIMEOUT_S", "Client", "Timeout"]

TIMEOUT_S = 10.0
BY_SEMANTICS: Literal["by semantics"] = "by semantics"
"""The timeout where none is given: 10 seconds, but none under exactly-once."""

Timeout: TypeAlias = float | Literal["by semantics"] | None
"""Seconds for the whole call, all its attempts included; None waits for ever."""

T = TypeVar("T")


class Client(Uncopied):
    """One server, one session. Made by `connect`; a context manager."""

    def __init__(self, core: Core, semantics: Semantics, timeout_s: Timeout, *, resumes: bool) -> None:
        self._core = core
        self._semantics = semantics
        self._timeout_s = timeout_s
        self._resumes = resumes
        self.recovered: Sequence[Recovered] = ()
        """What the calls of an earlier process came to, when this client was entered."""

    def __enter__(self) -> Self:
        if self._resumes:
            try:
                self.recovered = self.resume()
            except BaseException:
                self.close()
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

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

    def info(self) -> dict[str, Any]:
        """What the server says about itself: name, boot, store, delivery, uptime_ms, release."""
        return self.call("server.info")

    def call(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        semantics: Semantics | str | None = None,
        timeout_s: Timeout | Literal["as the client"] = "as the client",
    ) -> dict[str, Any]:
        """Calls any method by name; its result object. Raises as the module says."""
        return result_of(self.outcome(method, params, semantics=semantics, timeout_s=timeout_s)).result

    def outcome(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        semantics: Semantics | str | None = None,
        timeout_s: Timeout | Literal["as the client"] = "as the client",
    ) -> Outcome:
        """Calls any method; what became of it, with its attempts, and no exception for that."""
        view = self.using(semantics=semantics, timeout_s=timeout_s)
        call = view._call(method, params or {})
        view._issue([call], in_batch=False)
        assert call.outcome is not None
        return call.outcome

    def batch(self) -> Batch:
        """Calls that leave together, when its `with` block ends, each with its own identity and outcome."""
        return Batch(self._call, lambda calls: self._issue(calls, in_batch=True))

    def using(
        self,
        *,
        semantics: Semantics | str | None = None,
        timeout_s: Timeout | Literal["as the client"] = "as the client",
    ) -> Client:
        """The same client with other promises; closing either closes both."""
        chosen = self._semantics if semantics is None else check_semantics(semantics, self._core.outbox is not None)
        timeout = self._timeout_s if timeout_s == "as the client" else timeout_s
        return Client(self._core, chosen, timeout, resumes=False)

    def resume(self, timeout_s: Timeout | Literal["as the client"] = "as the client") -> Sequence[Recovered]:
        """Finishes what the outbox holds, in order, under the same identities; what each call came to.

        Entering a client does this by itself, and so does an exactly-once call before it is sent. The timeout bounds
        all of it; the first call that it cuts short stays in the outbox, and so do all behind it.
        """
        with self._core.in_flight:
            return self._core.issuer.resume(self.using(timeout_s=timeout_s)._deadline_s())

    def renew(self) -> int | None:
        """Renews the session's lease, as every call does; its length in milliseconds, None if no session is open."""
        with self._core.in_flight:
            outcome = self._core.renew(self._deadline_s())
        return None if outcome is None else int(result_of(outcome).result["lease_ms"])

    @property
    def has_unanswered(self) -> bool:
        """Whether the outbox holds calls that a resume would finish."""
        return self.unanswered > 0

    @property
    def unanswered(self) -> int:
        """How many calls the outbox holds, those under way included."""
        return 0 if self._core.outbox is None else len(self._core.outbox.entries())

    @property
    def calls_begun(self) -> int:
        """How many exactly-once calls the outbox has ever taken: where an application's own loop goes on."""
        if self._core.outbox is None:
            raise ValueError("calls_begun needs an outbox file")
        return self._core.outbox.calls_begun

    def close(self) -> None:
        """Ends the calls under way and closes the session, within about two seconds. May be called again."""
        self._core.close()

    def _typed(self, call: typed_calls.TypedCall[T]) -> T:
        return call.read(result_of(self.outcome(call.method, call.params)))

    def _call(self, method: str, params: Mapping[str, Any]) -> PendingCall:
        kind = Kind(self._semantics, is_harmless(method, params))
        if kind.identified and "_meta" in params:
            raise ValueError("_meta is the client's own; use semantics='maybe' to send another")
        return PendingCall(method, encode_params(params), kind, has_meta="_meta" in params)

    def _issue(self, calls: Sequence[PendingCall], *, in_batch: bool) -> None:
        try:
            with self._core.in_flight:
                self._core.issuer.issue(calls, self._deadline_s(), in_batch=in_batch)
        except ClientClosed as closed:
            for call in calls:
                call.settle(Failed(closed))

    def _deadline_s(self) -> float | None:
        timeout_s = self._timeout_s
        if timeout_s == BY_SEMANTICS:
            timeout_s = None if self._semantics is Semantics.EXACTLY_ONCE else TIMEOUT_S
        return None if timeout_s is None else self._core.environment.clock() + timeout_s


def check_semantics(semantics: Semantics | str, has_outbox: bool) -> Semantics:
    """The semantics of that name. Raises ValueError for another name, or for exactly-once without an outbox."""
    try:
        chosen = Semantics(semantics)
    except ValueError:
        names = ", ".join(Semantics)
        raise ValueError(f"{semantics!r} is no semantics; choose one of: {names}") from None
    if chosen is Semantics.EXACTLY_ONCE and not has_outbox:
        raise ValueError("exactly-once needs an outbox file, to remember its calls over the client's own restart")
    return chosen
