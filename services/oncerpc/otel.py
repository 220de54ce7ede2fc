"""OpenTelemetry, where somebody wants traces: an exporter is configured in the environment, or the application has set
one up itself; and the extra is installed (`pip install 'oncekv[otel]'`). Otherwise nothing of it is imported.

    OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318     to a collector, over HTTP
    OTEL_TRACES_EXPORTER=console                          to stderr; `none` for none
    OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER, …             as OpenTelemetry's SDK reads them

Limit: the OTLP exporter gathers spans, and a process that is killed loses those that it has not sent.
"""

from __future__ import annotations

import functools
import os
import sys
from typing import TYPE_CHECKING

from oncerpc.wire.identity import TRACE_HEADER

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.trace import Tracer

__all__ = ["context_of", "shut_down", "tracer"]

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_NAME = "oncerpc"


def tracer() -> Tracer | None:
    """Who makes spans in this process; None where nobody wants them."""
    if "opentelemetry.sdk.trace" in sys.modules:
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.trace import get_tracer, get_tracer_provider

        if isinstance(get_tracer_provider(), TracerProvider):
            return get_tracer(_NAME)
    return _set_up() if _is_wanted() else None


def context_of(traceparent: str | None) -> Context:
    """The span that a header names, as the parent of others; none where it names none."""
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier = {TRACE_HEADER.lower(): traceparent} if traceparent else {}
    return TraceContextTextMapPropagator().extract(carrier, Context())


def shut_down() -> None:
    """Send what is not yet sent: for a process that ends without Python's own end."""
    if "opentelemetry.sdk.trace" in sys.modules:
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.trace import get_tracer_provider

        provider = get_tracer_provider()
        if isinstance(provider, TracerProvider):
            provider.shutdown()


def _is_wanted() -> bool:
    chosen = os.environ.get("OTEL_TRACES_EXPORTER", "")
    if chosen == "none" or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    return bool(chosen) or any(os.environ.get(name) for name in _ENDPOINTS)


@functools.cache
def _set_up() -> Tracer | None:
    try:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.trace import get_tracer, set_tracer_provider

        processor = _processor()
    except ImportError:
        sys.stderr.write("oncerpc: an OpenTelemetry exporter is configured; for traces, pip install 'oncekv[otel]'\n")
        return None
    # Resource.create lets OTEL_SERVICE_NAME speak before this.
    provider = TracerProvider(resource=Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME", "oncekv")}))
    provider.add_span_processor(processor)
    set_tracer_provider(provider)
    return get_tracer(_NAME)


def _processor() -> SpanProcessor:
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SimpleSpanProcessor

    if os.environ.get("OTEL_TRACES_EXPORTER") == "console":
        exporter = ConsoleSpanExporter(out=sys.stderr, formatter=lambda span: span.to_json(indent=None) + "\n")
        return SimpleSpanProcessor(exporter)
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return BatchSpanProcessor(OTLPSpanExporter())
