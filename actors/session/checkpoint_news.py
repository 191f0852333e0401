"""`session.checkpoint`: that the device store is safe, told now and then, however often it is."""

from __future__ import annotations

import time

import structlog

from cluster.domain.errors import Unavailable
from cluster.stores.events import EventStore

__all__ = ["CheckpointNews"]

log = structlog.get_logger(__name__)


class CheckpointNews:
    """Tells of the first checkpoint of an epoch, of its last one, and of one in a while."""

    def __init__(
        self, events: EventStore, *, session_id: int, epoch: int, every_seconds: float
    ) -> None:
        self._events = events
        self._session_id = session_id
        self._epoch = epoch
        self._every = every_seconds
        self._told_at: float | None = None
        self._untold = 0

    async def written(self, *, seq: int, kind: str, size: int, reason: str) -> None:
        """A checkpoint was committed: `size` bytes sealed, `reason` `change` or `stop`. Raises
        `NotOwner`."""
        self._untold += 1
        now = time.monotonic()
        recent = self._told_at is not None and now - self._told_at < self._every
        if recent and reason != "stop":
            return
        payload = {
            "epoch": self._epoch,
            "seq": seq,
            "kind": kind,
            "size": size,
            "reason": reason,
            "count": self._untold,
        }
        try:
            await self._events.append(
                self._session_id, "session.checkpoint", payload, epoch=self._epoch
            )
        except Unavailable as error:
            # The checkpoint stands; the next one tells of this one, too.
            log.debug("checkpoint.not_told", session_id=self._session_id, error=error.detail)
            return
        self._told_at, self._untold = now, 0
