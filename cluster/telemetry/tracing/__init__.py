"""Traces: from a request through the session's actor to WhatsApp, its receipts, checkpoints and
webhooks. Off unless there is somewhere to send them, and then next to free."""

from cluster.telemetry.tracing.calls import of_caller, with_call
from cluster.telemetry.tracing.spans import Carried, carried, configure, enabled, span, trace_id

__all__ = [
    "Carried",
    "carried",
    "configure",
    "enabled",
    "of_caller",
    "span",
    "trace_id",
    "with_call",
]
