"""What a sink is. It shares everything with webhooks but the way an event is handed over: places in
the log, order per session, retries, circuit breaker, dead letters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, runtime_checkable

__all__ = ["BatchSink", "Sink", "SinkError", "SinkRecord"]


class SinkError(Exception):
    """The sink did not take the event; its text says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SinkRecord:
    """One event as sinks get it."""

    #: Stays the same however often the event is delivered.
    id: str
    #: Number within the session.
    seq: int
    session: str
    #: `message`, `session.status` …
    type: str
    happened_at: datetime
    #: JSON in WAHA's shape.
    body: bytes


class Sink(Protocol):
    """A system that takes events. Belongs to one event loop."""

    async def put(self, record: SinkRecord) -> None:
        """Returns when the system has it for good. Raises `SinkError`."""

    async def close(self) -> None: ...


@runtime_checkable
class BatchSink(Sink, Protocol):
    """A sink that takes many events of a session at once. Events wait in the log meanwhile."""

    #: Events of a full batch.
    most: int
    #: How long after the first event of a batch happened it goes out, full or not.
    wait: timedelta

    async def put_all(self, records: Sequence[SinkRecord]) -> None:
        """As `put`, for one session's events in order."""
