"""`session.checkpoint`: the device store is safe. Emitted now and then, however often it is."""

from __future__ import annotations

import time

import structlog

from cluster.domain.errors import Unavailable
from cluster.stores.events import EventStore

__all__ = ["CheckpointEvents"]

log = structlog.get_logger(__name__)


class CheckpointEvents:
    """Emitted for the first checkpoint of an epoch, for its last one, and for one in a while."""

    def __init__(
        self, events: EventStore, *, session_id: int, epoch: int, every_seconds: float
    ) -> None:
        self._events = events
        self._session_id = session_id
        self._epoch = epoch
        self._every = every_seconds
        self._emitted_at: float | None = None
        self._not_emitted = 0

    async def written(self, *, seq: int, kind: str, size: int, reason: str) -> None:
        """A checkpoint was committed: `size` bytes sealed, `reason` `change` or `stop`. Raises
        `NotOwner`."""
        self._not_emitted += 1
        now = time.monotonic()
        recent = self._emitted_at is not None and now - self._emitted_at < self._every
        if recent and reason != "stop":
            return
        payload = {
            "epoch": self._epoch,
            "seq": seq,
            "kind": kind,
            "size": size,
            "reason": reason,
            "count": self._not_emitted,
        }
        try:
            await self._events.append(
                self._session_id, "session.checkpoint", payload, epoch=self._epoch
            )
        except Unavailable as error:
            # The checkpoint stands; the next one counts this one, too.
            log.debug("checkpoint.not_emitted", session_id=self._session_id, error=error.detail)
            return
        self._emitted_at, self._not_emitted = now, 0
