"""The machinery behind a client, shared by its threads and views: caller, session, outbox, and the door to them.

Place on the way: under the stub (1). Guarantee: once closed, no call begins, and those under way end within bounds: a
waiting one at once, one in an attempt when that attempt does. Limit: a session that closing cannot close ends with its
lease; one whose calls an outbox keeps is left open on purpose, for the next process asks for their replies.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any

import msgspec

from oncerpc.client import fork
from oncerpc.client.api.issuer import Issuer
from oncerpc.client.outcome import ClientClosed, Failed, Ok, Outcome, Unreachable, error_of
from oncerpc.client.retry.backoff import RetryPolicy
from oncerpc.client.retry.decision import CallKind
from oncerpc.client.retry.options import LEASE_MAX_MS, Options
from oncerpc.client.retry.pending_call import PendingCall
from oncerpc.client.retry.retry_loop import Environment, RetryLoop
from oncerpc.client.semantics import Semantics
from oncerpc.client.session.outbox import WAY_OUT, Outbox, OutboxError
from oncerpc.client.session.session import OpenedSession, Session
from oncerpc.client.transport.binding import Link
from oncerpc.client.transport.request import encode_params
from oncerpc.wire.results import SessionOpened

__all__ = ["CLOSE_TIMEOUT_S", "Core", "InFlightCalls"]

CLOSE_TIMEOUT_S = 1.0
"""What closing may take for the calls under way, and again for telling the server."""

_ADMINISTRATION = CallKind(Semantics.AT_LEAST_ONCE, harmless=True)


class InFlightCalls:
    """Counts the calls under way, so that closing can turn new ones away and wait for these."""

    def __init__(self, refusal: str = "") -> None:
        """With a `refusal` it lets nobody in, and says why."""
        self._changed = threading.Condition()
        self._inside = 0
        self._closed = threading.Event()
        self._refusal = refusal

    def __enter__(self) -> None:
        with self._changed:
            if self._closed.is_set():
                raise ClientClosed()
            if self._refusal:
                raise OutboxError(self._refusal)
            self._inside += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._inside -= 1
            self._changed.notify_all()

    def after_fork(self) -> bool:
        """In the child, a call that was inside ends as at a closed door; whether it was closed before."""
        was_closed = self._closed.is_set()
        self._changed, self._closed = threading.Condition(), threading.Event()
        self._closed.set()
        return was_closed

    def pause(self, seconds: float) -> None:
        """Waits, until it is closed at the latest."""
        self._closed.wait(seconds)

    def is_closed(self) -> bool:
        """Whether calls are turned away."""
        return self._closed.is_set()

    def close(self) -> bool:
        """Turns new calls away; False if it was closed before."""
        with self._changed:
            was_open = not self._closed.is_set()
            self._closed.set()
            return was_open

    def wait_empty(self, timeout_s: float) -> bool:
        """Waits for those inside; whether all have left."""
        with self._changed:
            return self._changed.wait_for(lambda: self._inside == 0, timeout_s)


class Core:
    """One client's machinery. `new_environment` makes its environment, a real or a simulated one, once in each
    process.
    """

    def __init__(
        self,
        links: Sequence[Link],
        options: Options,
        new_environment: Callable[[InFlightCalls], Environment],
        outbox: Outbox | None,
    ) -> None:
        self.outbox = outbox
        self.reads: set[str] = set()
        """Methods of the service that have said of themselves that they change nothing."""
        self._links = tuple(links)
        self._options = options
        self._new_environment = new_environment
        self._begin(InFlightCalls(), outbox)
        fork.watch(self)

    def _begin(self, in_flight: InFlightCalls, outbox: Outbox | None) -> None:
        self.in_flight = in_flight
        self.environment = replace(self._new_environment(in_flight), is_closed=in_flight.is_closed)
        self._retry_loop = RetryLoop(self._links, self._options, self.environment)
        kept = [] if outbox is None else [(one.key, one.session, one.seq) for one in outbox.load()]
        self.session = Session(self._open_session, _new_key, self._retry_loop.left_s, kept)
        self.issuer = Issuer(self._retry_loop, self.session, outbox)

    def after_fork(self) -> None:
        """The child begins anew: connections, request ids, session and seqs of its own. The outbox is the parent's."""
        was_closed = self.in_flight.after_fork()
        in_flight = InFlightCalls(
            "" if self.outbox is None else f"the outbox belongs to the parent of this process; {WAY_OUT}"
        )
        if was_closed:
            in_flight.close()
        self._begin(in_flight, None)

    def renew(self, deadline_s: float | None) -> Outcome | None:
        """Renews the session's lease and acknowledges; None where no session is open."""
        epoch = self.session.epoch
        if epoch is None:
            return None
        meta = {"session": epoch.name, "acked": epoch.ledger.acked}
        call = PendingCall("session.renew", encode_params({"_meta": meta}), _ADMINISTRATION)
        self._retry_loop.run([call], deadline_s)
        return call.outcome

    def close(self) -> None:
        """Ends the calls under way, closes the session unless an outbox keeps calls of it, and lets everything go."""
        if not self.in_flight.close():
            return
        name = self.session.close()
        is_quiet = self.in_flight.wait_empty(CLOSE_TIMEOUT_S)
        if name is not None and is_quiet and not self.session.has_open_calls:  # else the outbox keeps some
            self._say_farewell(name)
        if self.outbox is not None:
            self.outbox.close()
        self.environment.transport.close()

    def _say_farewell(self, session: str) -> None:
        """One attempt to close the session, so that the server need not keep it until its lease is over."""
        policy = RetryPolicy(attempts_max=1, attempt_timeout_s=CLOSE_TIMEOUT_S)
        environment = replace(self.environment, is_closed=lambda: False)
        call = PendingCall("session.close", encode_params({"_meta": {"session": session}}), _ADMINISTRATION)
        RetryLoop(self._links, replace(self._options, retry=policy), environment).run([call], None)

    def _open_session(self, key: str, deadline_s: float | None) -> OpenedSession:
        lease_ms = self._options.session_lease_ms or (LEASE_MAX_MS if self.outbox is not None else None)
        params: dict[str, Any] = {} if lease_ms is None else {"lease_ms": lease_ms}
        call = PendingCall("session.open", encode_params(params), _ADMINISTRATION, headers={"Idempotency-Key": key})
        self._retry_loop.run([call], deadline_s)
        match call.outcome:
            case Ok(result=result, replayed=replayed):
                return _opened(result, replayed)
            case Failed() as failed:
                raise error_of(failed)
        reason = call.outcome.reason if call.outcome is not None else ""
        raise error_of(Failed(Unreachable(f"no session could be opened: {reason}"), False, tuple(call.attempts)))


def _opened(result: dict[str, Any], replayed: bool) -> OpenedSession:
    try:
        opened = msgspec.convert(result, SessionOpened)
    except msgspec.ValidationError as error:
        raise Unreachable(f"no session could be opened: the server's answer is none ({error})") from None
    return OpenedSession(opened.session, opened.window, replayed)


def _new_key() -> str:
    return secrets.token_urlsafe(24)
