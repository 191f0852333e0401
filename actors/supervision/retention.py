"""How long messages are kept: now and then, what is older is deleted."""

from __future__ import annotations

import time
from datetime import timedelta

import structlog

from cluster.settings import HistorySettings
from cluster.stores import Stores

__all__ = ["Retention"]

log = structlog.get_logger(__name__)


class Retention:
    """Deletes old messages of all sessions, batch by batch; see `HistorySettings`."""

    def __init__(self, settings: HistorySettings) -> None:
        self._settings = settings
        self._due = 0.0

    async def tick(self, stores: Stores) -> None:
        """Do it when it is due. Raises `Unavailable`; what was deleted stays deleted."""
        if not self._settings.retention_days or time.monotonic() < self._due:
            return
        gone = await stores.history.forget_messages(
            timedelta(days=self._settings.retention_days), batch=self._settings.retention_batch
        )
        self._due = time.monotonic() + self._settings.retention_every_seconds
        log.info("history.forgotten", messages=gone)
