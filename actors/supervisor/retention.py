"""How long messages and sends are kept: now and then, what is older is deleted."""

from __future__ import annotations

import time
from datetime import timedelta

import structlog

from cluster.settings import HistorySettings, OutboxSettings
from cluster.stores import Stores

__all__ = ["Retention"]

log = structlog.get_logger(__name__)


class Retention:
    """Deletes old messages, and sends that are dealt with, of all sessions, batch by batch; see
    `HistorySettings` and `OutboxSettings`."""

    def __init__(self, history: HistorySettings, outbox: OutboxSettings) -> None:
        self._settings = history
        #: Days; 0: for ever.
        self._messages = history.retention_days
        self._sends = min(filter(None, (history.retention_days, outbox.retention_days)), default=0)
        self._due = 0.0

    async def tick(self, stores: Stores) -> None:
        """Do it when it is due. Raises `Unavailable`; what was deleted stays deleted."""
        if time.monotonic() < self._due or not (self._messages or self._sends):
            return
        batch = self._settings.retention_batch
        messages = sends = 0
        if self._messages:
            age = timedelta(days=self._messages)
            messages = await stores.history.forget_messages(age, batch=batch)
        if self._sends:
            sends = await stores.outbox.forget(timedelta(days=self._sends), batch=batch)
        self._due = time.monotonic() + self._settings.retention_every_seconds
        log.info("history.forgotten", messages=messages, sends=sends)
