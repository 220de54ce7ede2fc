"""Who is told of every attempt that was answered: the log (`--log-calls`) and traces, each only where it was asked for.

What they tell of a call is the same: method, identity (shortened), attempt, and what became of it. Nothing secret: no
session's name, no key, no params, no result. They are called when the reply is ready, on the thread that has it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from oncerpc import otel
from oncerpc.server.log import log
from oncerpc.server.rpc.call import Call
from oncerpc.server.rpc.dispatcher import Caller, CallObserver
from oncerpc.wire.identity import shortened

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

__all__ = ["observer_of"]


def observer_of(boot: int, *, log_calls: bool) -> CallObserver | None:
    """What `Dispatcher` is to tell; None where nobody wants to know, and then it costs nothing."""
    tracer = otel.tracer()
    found: list[CallObserver] = [log_attempts] if log_calls else []
    if tracer is not None:
        found.append(_Spans(tracer, boot))
    if len(found) < 2:
        return found[0] if found else None

    def all_of_them(caller: Caller, calls: Sequence[Call], now_s: float) -> None:
        for one in found:
            one(caller, calls, now_s)

    return all_of_them


def log_attempts(caller: Caller, calls: Sequence[Call], now_s: float) -> None:
    """A line for each."""
    for call in calls:
        facts = _facts(caller, call)
        took_ms = round((now_s - caller.arrived_s) * 1000, 3)
        line = f"{facts['method']} {facts.get('identity', '-')} attempt {facts['attempt']}: {facts['outcome']}"
        log.info("%s after %.1f ms", line, took_ms, extra={"facts": {**facts, "took_ms": took_ms}})


def _facts(caller: Caller, call: Call) -> dict[str, Any]:
    facts: dict[str, Any] = {"method": call.method.name or "unknown"}
    if call.meta.session is not None:
        facts["identity"] = f"{shortened(call.meta.session)}/{call.meta.seq or '-'}"
    elif call.key is not None:
        facts["identity"] = f"key {shortened(call.key.key)}"
    attempt = caller.attempt
    facts["attempt"] = int(attempt) if attempt is not None and attempt.isdecimal() and len(attempt) < 10 else 1
    facts["outcome"] = _outcome(call)
    return facts


def _outcome(call: Call) -> str:
    if call.dropped:
        return "dropped"
    if call.refusal is not None:
        return f"refused: {call.refusal}"
    is_error = call.reply is not None and call.reply.failed
    return ("replayed error" if is_error else "replayed") if call.replayed else ("error" if is_error else "ok")


class _Spans:
    """A span for each, below the one that the client's attempt named."""

    def __init__(self, tracer: Tracer, boot: int) -> None:
        from opentelemetry.trace import SpanKind

        self._kind = SpanKind.SERVER
        self._tracer = tracer
        self._boot = boot

    def __call__(self, caller: Caller, calls: Sequence[Call], now_s: float) -> None:
        ended_ns = time.time_ns()
        began_ns = ended_ns - int((now_s - caller.arrived_s) * 1e9)
        parent = otel.context_of(caller.traceparent)
        for call in calls:
            facts = _facts(caller, call)
            named = {f"oncerpc.{name}": value for name, value in facts.items() if name != "method"}
            attributes = {"rpc.system": "jsonrpc", "rpc.method": facts["method"], **named}
            attributes |= {"oncerpc.boot": self._boot, "process.pid": os.getpid()}
            span = self._tracer.start_span(facts["method"], parent, self._kind, attributes, start_time=began_ns)
            span.end(ended_ns)
