"""What goes along with a call from one process to another: the trace and the request's id."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from cluster.telemetry.tracing.spans import Carried, carried, span

__all__ = ["of_caller", "with_call"]

_REQUEST_ID = "x-request-id"


@contextmanager
def of_caller(name: str, carrier: Carried | None) -> Iterator[None]:
    """Work for whoever called: with the id of its request in the logs, and a span below its own."""
    carrier = carrier or {}
    with (
        structlog.contextvars.bound_contextvars(
            **({"request_id": carrier[_REQUEST_ID]} if _REQUEST_ID in carrier else {})
        ),
        span(name, carrier),
    ):
        yield


def with_call() -> Carried:
    """To go with a call that is made now."""
    carrier = carried()
    if request_id := structlog.contextvars.get_contextvars().get("request_id"):
        carrier[_REQUEST_ID] = str(request_id)
    return carrier
