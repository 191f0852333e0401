"""Spans and their W3C context, over OpenTelemetry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

from opentelemetry import trace
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from cluster.settings import TracingSettings

__all__ = ["Carried", "carried", "configure", "enabled", "span", "trace_id"]

#: Headers of W3C Trace Context as they travel with calls, rows and requests.
Carried = dict[str, str]
Kind = Literal["internal", "server", "client", "producer", "consumer"]

_PROPAGATOR = TraceContextTextMapPropagator()
_KINDS = {
    "internal": SpanKind.INTERNAL,
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "producer": SpanKind.PRODUCER,
    "consumer": SpanKind.CONSUMER,
}
_tracer: trace.Tracer | None = None


def configure(settings: TracingSettings, *, part: str) -> None:
    """Send spans of this process to `settings.otlp_endpoint`; without one nothing happens."""
    global _tracer
    if not settings.otlp_endpoint or _tracer is not None:
        return
    # Late: a session's process should not pay for what is off.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    provider = TracerProvider(
        resource=Resource.create(
            {"service.name": settings.service_name, "service.instance.part": part}
        ),
        # Whoever calls decides; of requests that come without a decision a part is taken.
        sampler=ParentBased(TraceIdRatioBased(settings.sample_ratio)),
    )
    provider.add_span_processor(
        BatchSpanProcessor(
            OTLPSpanExporter(
                endpoint=f"{settings.otlp_endpoint.rstrip('/')}/v1/traces",
                timeout=settings.timeout_seconds,
            ),
            schedule_delay_millis=int(settings.delay_seconds * 1000),
        )
    )
    _tracer = provider.get_tracer("gateway")


def enabled() -> bool:
    """Whether spans are made at all."""
    return _tracer is not None


@contextmanager
def span(
    name: str,
    parent: Mapping[str, str] | None = None,
    *,
    kind: Kind = "internal",
    **attributes: Any,
) -> Iterator[trace.Span | None]:
    """A span around the block, below `parent`, else below the present one. What is raised is noted
    by its kind: the text of an error can hold phone numbers."""
    if _tracer is None:
        yield None
        return
    context = _PROPAGATOR.extract(parent) if parent else None
    facts = {
        f"gateway.{key}": value for key, value in attributes.items() if value not in ("", None)
    }
    with _tracer.start_as_current_span(
        name,
        context=context,
        kind=_KINDS[kind],
        attributes=facts,
        record_exception=False,
        set_status_on_exception=False,
    ) as made:
        try:
            yield made
        except Exception as error:
            made.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise


def carried() -> Carried:
    """The present span's context, to go with a call, a row or a request; empty without one."""
    found: Carried = {}
    if _tracer is not None:
        _PROPAGATOR.inject(found)
    return found


def trace_id() -> str:
    """Of the present span, 32 hex digits; empty without one."""
    if _tracer is None:
        return ""
    present = trace.get_current_span().get_span_context()
    return f"{present.trace_id:032x}" if present.is_valid else ""
