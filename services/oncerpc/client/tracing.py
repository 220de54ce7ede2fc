"""A client's spans: one for each call, and below it one for each of its attempts, whose name goes with the request.

    kv.append                    the call: its semantics, its identity (shortened), what it came to
    ├── attempt 1  c1-kv-1       the link, and how it ended: "timed out"
    │   └── kv.append            the server's (`server.rpc.observers`): "ok"
    └── attempt 2  c1-kv-1       "ok (replayed)"
        └── kv.append            the server's: "replayed"

Made only where `otel.tracer` gives one; whatever the application has as its current span is the parent of the call's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from oncerpc import otel
from oncerpc.client.outcome import Failed, Ok, Unknown
from oncerpc.wire.identity import TRACE_HEADER, shortened

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

    from oncerpc.client.retry.pending_call import PendingCall

__all__ = ["ClientTracing", "client_tracing"]


def client_tracing() -> ClientTracing | None:
    """What makes a client's spans; None where nobody wants them."""
    tracer = otel.tracer()
    return None if tracer is None else ClientTracing(tracer)


class ClientTracing:
    """Safe for threads."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    @contextmanager
    def calls(self, calls: Sequence[PendingCall]) -> Iterator[None]:
        """Around the calls of one request; that of the first is the parent of the attempts."""
        from opentelemetry.trace import use_span

        spans = [
            self._tracer.start_span(
                call.method, attributes={"rpc.method": call.method, "oncerpc.semantics": str(call.kind.semantics)}
            )
            for call in calls
        ]
        try:
            with use_span(spans[0]):
                yield
        finally:
            for span, call in zip(spans, calls, strict=True):
                _describe(span, call)
                span.end()

    def attempt(self, calls: Sequence[PendingCall], link: str) -> Attempting:
        """An attempt of these calls begins."""
        from opentelemetry.trace import SpanKind

        number = calls[0].next_number
        attributes = {"rpc.system": "jsonrpc", "rpc.method": calls[0].method, "oncerpc.link": link}
        span = self._tracer.start_span(
            f"attempt {number}", kind=SpanKind.CLIENT, attributes={**attributes, "oncerpc.attempt": number}
        )
        return Attempting(span)


class Attempting:
    """One attempt under way."""

    def __init__(self, span: Span) -> None:
        from opentelemetry.trace import set_span_in_context
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._span = span
        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carrier, set_span_in_context(span))
        self.headers: Mapping[str, str] = {TRACE_HEADER: carrier["traceparent"]} if carrier else {}
        """What goes with the request."""

    def end(self, results: Sequence[str]) -> None:
        """How it ended, for each call."""
        self._span.set_attribute("oncerpc.result", "; ".join(dict.fromkeys(results)))
        self._span.end()


def _describe(span: Span, call: PendingCall) -> None:
    from opentelemetry.trace import StatusCode

    facts: dict[str, Any] = {"oncerpc.attempts": call.attempts[-1].number if call.attempts else 0}
    if call.identity is not None and call.identity.epoch.name is not None:
        facts["oncerpc.identity"] = f"{shortened(call.identity.epoch.name)}/{call.identity.seq}"
    match call.outcome:
        case Ok(replayed=replayed):
            facts |= {"oncerpc.outcome": "ok", "oncerpc.replayed": replayed}
        case Failed(error=error):
            facts |= {"oncerpc.outcome": "failed", "oncerpc.error": error.name}
            span.set_status(StatusCode.ERROR, error.name)
        case Unknown(reason=reason):
            facts |= {"oncerpc.outcome": "unknown"}
            span.set_status(StatusCode.ERROR, reason)
    span.set_attributes(facts)
