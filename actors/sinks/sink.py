"""What a sink is. It shares everything with webhooks but the way an event is handed over: places in
the log, order per session, retries, circuit breaker, dead letters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

__all__ = ["Sink", "SinkError", "Told"]


class SinkError(Exception):
    """The sink did not take the event; its text says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """One event as sinks get it."""

    #: Stays the same however often the event is told.
    id: str
    #: Number within the session.
    seq: int
    session: str
    #: `message`, `session.status` …
    type: str
    #: JSON in WAHA's shape.
    body: bytes


class Sink(Protocol):
    """A system that takes events. Belongs to one event loop."""

    async def put(self, told: Told) -> None:
        """Returns when the system has it for good. Raises `SinkError`."""

    async def close(self) -> None: ...
