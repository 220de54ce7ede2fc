"""Dispatch (step 6): from requests to calls, each to where it runs, and their replies back in order.

Here everything is checked that needs no store: the method, its params, what the metadata may say. Writes that stand
together in a batch reach the committer together; a read waits for the writes before it and then runs right here.

Both server models run the same steps, and differ in who takes them (`exchange`): `steps` stops where it needs the
committer, and before anything that may wait.

    Commit     these calls to the committer; go on when all are answered
    MAY_WAIT   what comes next touches the store or passes a failpoint: a thread that must not wait hands it on
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from enum import Enum, auto
from typing import Any, Final, Literal, NamedTuple

import msgspec

from oncerpc.server.dedup.base import IdempotencyKey
from oncerpc.server.failpoints import Dropped
from oncerpc.server.log import StateLog, log
from oncerpc.server.records import StoreRefused
from oncerpc.server.rpc.call import Call
from oncerpc.server.rpc.components import Components
from oncerpc.server.rpc.method import Context, Method, MethodKind
from oncerpc.wire.errors import InternalError, InvalidParams, MethodNotFound, Overloaded, Refused, RpcError, TooLarge
from oncerpc.wire.identity import NO_META, CallMeta, read_meta
from oncerpc.wire.jsonrpc import Request, decode, encode_batch, encode_reply, failure

__all__ = ["MAY_WAIT", "Answer", "CallObserver", "Caller", "Commit", "Dispatcher", "KeyMisplaced", "Step", "Steps"]


class KeyMisplaced(Exception):
    """An Idempotency-Key on a batch or beside a session: nothing ran."""


class Caller(NamedTuple):
    """Who sent a body, and when. `scope` stands for the token, `arrived_s` is monotonic.

    `attempt` and `traceparent` are what the headers of these names said, for logs and traces alone: nothing may depend
    on them.
    """

    scope: bytes
    key: str | None
    arrived_s: float
    attempt: str | None = None
    traceparent: str | None = None


class Answer(NamedTuple):
    """What goes back. `body` is None where JSON-RPC returns nothing; of `dropped` not even a status goes back."""

    body: bytes | None
    replayed: bool = False
    refusal: str | None = None
    """The name of the refusal when every reply of the body is that one."""
    dropped: bool = False


class Commit(NamedTuple):
    """Calls that go to the committer together; `size`: bytes they hold."""

    calls: Sequence[Call]
    size: int


class _Pause(Enum):
    MAY_WAIT = auto()


CallObserver = Callable[[Caller, Sequence[Call], float], object]
"""Is told of a request's calls, each with what became of it, and the monotonic time. It must not wait and not raise."""

MAY_WAIT: Final = _Pause.MAY_WAIT
Step = Commit | Literal[_Pause.MAY_WAIT]
Steps = Iterator[Step | Answer]


class Dispatcher:
    """One server's calls."""

    def __init__(self, components: Components[Any], observer: CallObserver | None = None) -> None:
        self._observer = observer
        self._facts = components.facts
        self._methods: Mapping[str, Method] = components.facts.methods
        self._store = components.store
        self._gate = components.delivery
        self._clock = components.clock
        self._metrics = components.metrics
        self._monotonic_s = components.monotonic_s
        self._trouble = StateLog("reads are answered again")

    def steps(self, body: bytes, caller: Caller) -> Steps:
        """Run what the body asks for; the last step is the answer. Raises KeyMisplaced before anything has run."""
        if caller.key is not None and body.lstrip()[:1] == b"[":
            raise KeyMisplaced("an Idempotency-Key stands for one call, not for a batch")
        try:
            is_batch, requests = decode(body, self._facts.config.batch_max)
        except Refused as error:
            self._metrics.refusals.labels(error.name).inc()
            yield Answer(encode_reply(None, failure(error)))
            return
        if caller.key is not None and _names_a_session(requests[0]):
            raise KeyMisplaced("an Idempotency-Key cannot stand beside a session")
        calls = [self._prepare(request, caller) for request in requests]
        names = [call.method.name for call in calls]
        for name in set(names):
            self._metrics.attempts.labels(name or "unknown").inc(names.count(name))
        yield from self._run(calls, len(body) // len(calls))
        answer = self._collect(is_batch, requests, calls)
        now_s = self._monotonic_s()
        self._metrics.answered(caller.arrived_s, now_s)
        if self._observer is not None:
            self._observer(caller, calls, now_s)
        yield answer

    def _prepare(self, request: Request, caller: Caller) -> Call:
        """The call of a request; one that cannot run has its reply already."""
        method = self._methods.get(request.method, _NO_METHOD)
        call = Call(method, NO_META)
        try:
            if request.fault:
                raise request.fault
            if method is _NO_METHOD:
                raise MethodNotFound(f"there is no method {request.method[:100]!r}")
            call.params, call.meta = _read_params(method, request.params)
            reads = method.reads(call.params)
            _check_identity(method, call.meta, reads=reads)
            call.changes_store = method.kind is not MethodKind.SERVER and not reads
            if caller.key is not None and call.changes_store:
                call.key = IdempotencyKey(caller.scope, caller.key)
            if call.meta.timeout_ms is not None:
                call.deadline_s = caller.arrived_s + call.meta.timeout_ms / 1000
        except RpcError as error:
            call.fail(error)
        except Exception:
            log.exception("%s could not be prepared", method.name)
            call.fail(InternalError())
        return call

    def _run(self, calls: Sequence[Call], size: int) -> Iterator[Step]:
        """In order: writes gather until a read, or the end, asks for what they did, or until they fill a group.

        A deep batch goes on only when a group of it is done: it never holds more of the committer's queue than that.
        """
        portion = min(self._facts.config.group_max, self._facts.config.queue_max)
        writes: list[Call] = []
        room = self._facts.config.batch_reply_bytes_max
        for call in calls:
            if call.reply is not None:
                continue
            if call.changes_store:
                writes.append(call)
            if not call.changes_store or len(writes) == portion:
                yield from self._commit(writes, size)
                writes = []
            if not call.changes_store:
                room -= yield from self._read(call)
            if room < 0:
                call.fail(TooLarge("the replies to this batch have grown too large; ask for less at once"))
        yield from self._commit(writes, size)

    def _commit(self, calls: Sequence[Call], size: int) -> Iterator[Step]:
        if not calls:
            return
        yield Commit(calls, size * len(calls))
        if self._facts.failpoints:
            yield MAY_WAIT
            for call in calls:
                self._pass_after_commit(call)

    def _pass_after_commit(self, call: Call) -> None:
        """Committed, and the reply not sent: the moment that all this is about."""
        if not call.ran or call.method.kind is not MethodKind.WRITE or not self._facts.failpoints:
            return
        try:
            self._facts.failpoints.hit("after_commit", call.method.name, call.method.keys(call.params))
        except Dropped:
            call.dropped = True
        except RpcError as error:
            call.fail(error)

    def _read(self, call: Call) -> Generator[Step, None, int]:
        """A read, and all that its metadata asks of the session; how many bytes its reply has."""
        yield MAY_WAIT
        if self._passes(call):
            self._serve(call)
        if call.reply is None:
            yield Commit([call], 0)
            yield MAY_WAIT
            if call.reply is None:
                self._serve(call)
        return len(call.reply.body) if call.reply else 0

    def _passes(self, call: Call) -> bool:
        """Whether it need not wait for the writer; if nobody can tell, it is answered with an error."""
        if call.meta.session is None:
            return True
        try:
            with self._store.read() as reader:
                return self._gate.is_plain_read(reader, call.meta, self._clock.now_ms())
        except StoreRefused as error:
            self._refuse(call, error)
            return False
        except Exception:
            log.exception("%s failed", call.method.name)
            call.fail(InternalError())
            return False

    def _serve(self, call: Call) -> None:
        method = call.method
        try:
            call.check_deadline(self._monotonic_s())
            if method.kind is MethodKind.SERVER:
                call.succeed(method.run(Context(server=self._facts, meta=call.meta), call.params))
                return
            with self._store.read() as reader:
                call.succeed(method.run(reader, call.params))
                self._trouble.ends()
        except RpcError as error:
            call.fail(error)
        except StoreRefused as error:
            self._refuse(call, error)
        except Exception:
            log.exception("%s failed", method.name)
            call.fail(InternalError())

    def _refuse(self, call: Call, error: StoreRefused) -> None:
        call.fail(Overloaded())
        self._trouble.begins(f"reads are refused: {error}")

    def _collect(self, is_batch: bool, requests: Sequence[Request], calls: Sequence[Call]) -> Answer:
        """The replies in order, without those of notifications."""
        if any(call.dropped for call in calls):
            return Answer(None, dropped=True)
        replies = []
        refusals = set()
        for request, call in zip(requests, calls, strict=True):
            refusals.add(call.refusal)
            if call.refusal:
                self._metrics.refusals.labels(call.refusal).inc()
            if call.reply is not None and not request.is_notification:
                replies.append(encode_reply(request.id, call.reply))
        if not replies:
            return Answer(None)
        return Answer(
            encode_batch(replies) if is_batch else replies[0],
            replayed=not is_batch and calls[0].replayed,
            refusal=refusals.pop() if len(refusals) == 1 else None,
        )


def _names_a_session(request: Request) -> bool:
    meta = request.params.get("_meta") if isinstance(request.params, dict) else None
    return isinstance(meta, dict) and "session" in meta


def _read_params(method: Method, given: dict[str, Any] | list[Any] | None) -> tuple[Any, CallMeta]:
    """The validated params and the metadata. Raises InvalidParams."""
    meta = NO_META
    if isinstance(given, list):
        names = method.params.__struct_encode_fields__
        if len(given) > len(names):
            raise InvalidParams(f"{method.name} takes at most {len(names)} params", path="$.params")
        given = dict(zip(names, given, strict=False))
    elif given and "_meta" in given:
        meta = read_meta(given.pop("_meta"))
    try:
        return msgspec.convert(given or {}, method.params), meta
    except msgspec.ValidationError as error:
        raise InvalidParams.at("$.params", error) from None


def _check_identity(method: Method, meta: CallMeta, *, reads: bool) -> None:
    """Writes under a session have a seq, and nothing else has one. Raises InvalidParams."""
    is_write = method.kind is MethodKind.WRITE and not reads
    if is_write and meta.session is not None and meta.seq is None:
        raise InvalidParams("a write under a session needs a seq", path="$.params._meta.seq")
    if not is_write and meta.seq is not None:
        raise InvalidParams(f"{method.name} is not recorded and takes no seq", path="$.params._meta.seq", reads=True)
    if method.kind is MethodKind.SESSION and method.needs_session is not (meta.session is not None):
        wants = "needs a" if method.needs_session else "takes no"
        raise InvalidParams(f"{method.name} {wants} session", path="$.params._meta.session")


_NO_METHOD = Method("", "", MethodKind.SERVER, msgspec.Struct, None, lambda _context, _params: None)
