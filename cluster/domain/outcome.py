"""What became of one try to deliver an event."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

__all__ = ["Outcome"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of one try."""

    #: HTTP status; None when there was no answer.
    status: int | None
    #: Why it counts as failed; empty when it succeeded.
    error: str
    took: timedelta
    #: The receiver's wish (`Retry-After` in seconds).
    retry_after: timedelta | None = None

    @property
    def delivered(self) -> bool:
        return not self.error
