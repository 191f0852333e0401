"""What goes along with a call from one process to another: the trace and the request's id."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cluster.telemetry.request_id import REQUEST_ID
from cluster.telemetry.tracing.spans import Carried, carried, span

__all__ = ["of_caller", "with_call"]

_HEADER = "x-request-id"


@contextmanager
def of_caller(name: str, carrier: Carried | None) -> Iterator[None]:
    """Work for whoever called: with the id of its request in the logs, and a span below its own."""
    carrier = carrier or {}
    before = REQUEST_ID.set(carrier.get(_HEADER) or REQUEST_ID.get())
    try:
        with span(name, carrier):
            yield
    finally:
        REQUEST_ID.reset(before)


def with_call() -> Carried:
    """To go with a call that is made now."""
    carrier = carried()
    if request_id := REQUEST_ID.get():
        carrier[_HEADER] = request_id
    return carrier
