"""The stub: remote calls that look like local ones, and say so when they are not.

    with Client.connect("http://127.0.0.1:8001") as client:
        client.call("kv.append", {"key": "k", "value": "x"})     any method; the result object, or an exception
        client.outcome("kv.append", {"key": "k", "value": "x"})  never raises for what became of the call
        client.using(semantics="maybe").call("server.info")      the same client, other promises

A service gives its own methods names and types in a class of its own (`kv.client`).

Place on the way: stub (1), where a call begins and ends. Safe for threads, which share one session. What a call may
raise stands in `outcome`; before it begins also TypeError or ValueError for params that are not JSON, OutboxError.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias

from oncerpc.client.api.batch import Batch
from oncerpc.client.api.core import Core, InFlightCalls
from oncerpc.client.api.issuer import Recovered
from oncerpc.client.fork import Uncopied
from oncerpc.client.outcome import ClientClosed, Failed, Outcome, result_of
from oncerpc.client.retry.backoff import RetryPolicy
from oncerpc.client.retry.decision import CallKind
from oncerpc.client.retry.options import Options
from oncerpc.client.retry.pending_call import PendingCall
from oncerpc.client.retry.retry_loop import Environment
from oncerpc.client.semantics import Semantics, is_harmless
from oncerpc.client.session.outbox import Outbox, OutboxError
from oncerpc.client.tracing import client_tracing
from oncerpc.client.transport.binding import bind
from oncerpc.client.transport.http import HttpTransport
from oncerpc.client.transport.request import encode_params
from oncerpc.wire.errors import InvalidParams

__all__ = ["BY_SEMANTICS", "TIMEOUT_S", "Client", "Timeout"]

TIMEOUT_S = 10.0
BY_SEMANTICS: Literal["by semantics"] = "by semantics"
"""The timeout where none is given: 10 seconds, but none under exactly-once."""

Timeout: TypeAlias = float | Literal["by semantics"] | None
"""Seconds for the whole call, all its attempts included; None waits for ever."""


class Client(Uncopied):
    """One server, one session. Made by `connect`, where its parts are chosen and put together; a context manager."""

    def __init__(self, core: Core, semantics: Semantics, timeout_s: Timeout, *, resumes: bool) -> None:
        self._core = core
        self._semantics = semantics
        self._timeout_s = timeout_s
        self._resumes = resumes
        self.recovered: Sequence[Recovered] = ()
        """What the calls of an earlier process came to, when this client was entered."""

    @classmethod
    def connect(
        cls,
        server: str | Sequence[str],
        *,
        semantics: Semantics | str = Semantics.AT_MOST_ONCE,
        timeout_s: Timeout = BY_SEMANTICS,
        retry: RetryPolicy | None = None,
        links: str | Path | None = None,
        client: str | None = None,
        token: str | None = None,
        outbox: str | Path | None = None,
        resume: bool = True,
        session_lease_ms: int | None = None,
        sends_timeout: bool = True,
        stays_on_good_link: bool = True,
        rng: random.Random | None = None,
        environment: Environment | None = None,
    ) -> Self:
        """A client of one server; use it as a context manager, or close it. Threads may share it: it keeps a
        connection for each that calls at the same time, up to 256 to a link (`connection_pool`), and one session for
        all. A forked process gets its own of each by itself, but for an outbox: that stays with its parent, and calls
        are refused (OutboxError).

        server: a URL without query or user (calls go to /rpc below it, a prefix is kept), `name=url`, a list of either
        (several links to one server, or to several servers on one store: a retry may go to another of them), or a
        service's name, then looked up in `links` (default: the file that ONCEKV_LINKS names), among the links of
        `client` if given. timeout_s: for a whole call. outbox: the file that exactly-once needs. resume: whether
        entering finishes what it holds. retry and the rest: see `RetryPolicy` and `Options`. rng: draws the jitter.
        environment: another clock, network and random source than the real ones.

        Raises BindingError, ValueError for a bad choice, OutboxError.
        """
        found = bind(server, links, client)
        chosen = check_semantics(semantics, outbox is not None)
        options = Options(
            retry=retry or RetryPolicy(),
            token=token,
            session_lease_ms=session_lease_ms,
            sends_timeout=sends_timeout,
            stays_on_good_link=stays_on_good_link,
        )

        def new_environment(in_flight: InFlightCalls) -> Environment:
            return environment or Environment(
                HttpTransport(len(found)),
                time.monotonic,
                in_flight.pause,
                (rng or random.Random()).uniform,
                tracing=client_tracing(),
            )

        memory = None if outbox is None else Outbox(outbox)
        try:
            core = Core(found, options, new_environment, memory)
        except OutboxError:
            if memory is not None:
                memory.close()
            raise
        return cls(core, chosen, timeout_s, resumes=resume and outbox is not None)

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

    def info(self) -> dict[str, Any]:
        """What the server says about itself: name, boot, store, delivery, uptime_ms, release."""
        info: dict[str, Any] = self.call("server.info")
        return info

    def call(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        semantics: Semantics | str | None = None,
        timeout_s: Timeout | Literal["as the client"] = "as the client",
    ) -> Any:
        """Calls any method by name; its result: an object, or of a read any JSON value. Raises as the module says."""
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
        return Batch(self._call, self._issue_batch)

    def using(
        self,
        *,
        semantics: Semantics | str | None = None,
        timeout_s: Timeout | Literal["as the client"] = "as the client",
    ) -> Self:
        """The same client with other promises; closing either closes both."""
        chosen = self._semantics if semantics is None else check_semantics(semantics, self._core.outbox is not None)
        timeout = self._timeout_s if timeout_s == "as the client" else timeout_s
        return type(self)(self._core, chosen, timeout, resumes=False)

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
    def has_outbox(self) -> bool:
        """Whether it can promise exactly-once."""
        return self._core.outbox is not None

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

    def _call(self, method: str, params: Mapping[str, Any]) -> PendingCall:
        kind = CallKind(self._semantics, method in self._core.reads or is_harmless(method, params))
        if kind.identified and "_meta" in params:
            raise ValueError("_meta is the client's own; use semantics='maybe' to send another")
        return PendingCall(method, encode_params(params), kind, has_meta="_meta" in params)

    def _issue(self, calls: Sequence[PendingCall], *, in_batch: bool) -> None:
        tracing = self._core.environment.tracing
        if tracing is None or not calls:
            self._bring(calls, in_batch=in_batch)
            return
        with tracing.calls(calls):
            self._bring(calls, in_batch=in_batch)

    def _bring(self, calls: Sequence[PendingCall], *, in_batch: bool) -> None:
        """Each to its outcome."""
        deadline_s = self._deadline_s()
        try:
            with self._core.in_flight:
                self._core.issuer.issue(calls, deadline_s, in_batch=in_batch)
                reads = [call for call in calls if call.kind.identified and _is_refused_as_read(call.outcome)]
                for call in reads:
                    self._core.reads.add(call.method)
                    call.begin_again(CallKind(call.kind.semantics, harmless=True))
                if reads:
                    self._core.issuer.issue(reads, deadline_s, in_batch=in_batch)
        except ClientClosed as closed:
            for call in calls:
                call.settle(Failed(closed))

    def _issue_batch(self, calls: Sequence[PendingCall]) -> None:
        self._issue(calls, in_batch=True)

    def _deadline_s(self) -> float | None:
        timeout_s = self._timeout_s
        if timeout_s == BY_SEMANTICS:
            timeout_s = None if self._semantics is Semantics.EXACTLY_ONCE else TIMEOUT_S
        return None if timeout_s is None else self._core.environment.clock() + timeout_s


def _is_refused_as_read(outcome: Outcome | None) -> bool:
    """The service does not record this method, so it took no identity: nothing ran, and it may be asked without one."""
    return (
        isinstance(outcome, Failed)
        and isinstance(outcome.error, InvalidParams)
        and outcome.error.facts.get("reads") is True
    )


def check_semantics(semantics: Semantics | str, has_outbox: bool) -> Semantics:
    """The semantics of that name. Raises ValueError for another name, or for exactly-once without an outbox."""
    try:
        chosen = Semantics(semantics)
    except ValueError:
        names = ", ".join(Semantics)
        raise ValueError(f"{semantics!r} is not a semantics; choose one of: {names}") from None
    if chosen is Semantics.EXACTLY_ONCE and not has_outbox:
        raise ValueError("exactly-once needs an outbox file, to remember its calls over the client's own restart")
    return chosen
