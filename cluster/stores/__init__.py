"""PostgreSQL, Redis and S3: each table or key family has one module that knows it."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Self

from cluster.domain.errors import GatewayError
from cluster.settings import Settings
from cluster.stores.api_keys import ApiKeyStore
from cluster.stores.apps import AppStore
from cluster.stores.audit import AuditStore
from cluster.stores.cache import Cache
from cluster.stores.chats import ChatStore
from cluster.stores.chatwoot import ChatwootStore
from cluster.stores.checkpoints import CheckpointStore
from cluster.stores.database import Database
from cluster.stores.dead_letters import DeadLetterStore
from cluster.stores.drained import DrainStore
from cluster.stores.events import EventStore
from cluster.stores.groups import GroupStore
from cluster.stores.history import HistoryStore
from cluster.stores.hosts import HostStore
from cluster.stores.inbox import InboxStore
from cluster.stores.inspection import InspectionStore
from cluster.stores.labels import LabelStore
from cluster.stores.media import MediaStore
from cluster.stores.messages import MessageStore
from cluster.stores.metrics import MetricsStore
from cluster.stores.notifier import EventNotifier
from cluster.stores.objects import ObjectStore
from cluster.stores.outbox import OutboxStore
from cluster.stores.ownership import OwnershipStore
from cluster.stores.pacing import PacingStore
from cluster.stores.people import PeopleStore
from cluster.stores.quarantine import QuarantineStore
from cluster.stores.sessions import SessionStore
from cluster.stores.starts import StartStore
from cluster.stores.vitals import VitalStore
from cluster.stores.webhooks import WebhookStore
from cluster.stores.workers import WorkerStore
from cluster.telemetry.metrics.flush import flush_forever

__all__ = ["Stores"]


class Stores:
    """All stores of one process and event loop."""

    def __init__(self, db: Database, cache: Cache, objects: ObjectStore) -> None:
        self.db = db
        self.cache = cache
        self.objects = objects
        self._notifier = EventNotifier(db)
        self.sessions = SessionStore(db, self._notifier)
        self.ownership = OwnershipStore(db)
        self.messages = MessageStore(db)
        self.chats = ChatStore(db)
        self.media = MediaStore(db)
        self.people = PeopleStore(db)
        self.groups = GroupStore(db)
        self.history = HistoryStore(db)
        self.outbox = OutboxStore(db, self._notifier)
        self.pacing = PacingStore(db)
        self.events = EventStore(db, self._notifier)
        self.inbox = InboxStore(db, self._notifier)
        self.quarantine = QuarantineStore(db, self._notifier)
        self.webhooks = WebhookStore(db)
        self.dead_letters = DeadLetterStore(db)
        self.labels = LabelStore(db)
        self.checkpoints = CheckpointStore(db)
        self.workers = WorkerStore(db)
        self.drained = DrainStore(db)
        self.starts = StartStore(db)
        self.hosts = HostStore(db)
        self.api_keys = ApiKeyStore(db)
        self.audit = AuditStore(db)
        self.apps = AppStore(db, self._notifier)
        self.chatwoot = ChatwootStore(db)
        self.metrics = MetricsStore(db)
        #: Writes down what this process counts.
        self.metrics_task: asyncio.Task[None] | None = None
        self.vitals = VitalStore(db)
        self.inspection = InspectionStore(db)

    @classmethod
    async def open(cls, settings: Settings, *, plan_once: bool = False) -> Self:
        """Open them; `plan_once`: see `Database.open`. Raises `Unavailable` when PostgreSQL is
        away; the others may come later."""
        db = await Database.open(settings.stores, plan_once=plan_once)
        stores = cls(db, Cache(settings.stores), ObjectStore(settings.stores))
        stores.metrics_task = asyncio.create_task(flush_forever(stores.metrics), name="metrics")
        return stores

    async def close(self) -> None:
        if self.metrics_task is not None:
            self.metrics_task.cancel()
            await asyncio.gather(self.metrics_task, return_exceptions=True)
        await self._notifier.close()
        await self.cache.close()
        await self.db.close()

    async def health(self) -> dict[str, dict[str, Any]]:
        """`{"postgresql": {"ok": true, "latency_ms": 1.2}, "redis": …, "s3": …}`."""
        parts: dict[str, Database | Cache | ObjectStore] = {
            "postgresql": self.db,
            "redis": self.cache,
            "s3": self.objects,
        }
        # Side by side: one that hangs must not use up the patience of who asks.
        answers = await asyncio.gather(*(_ping(part) for part in parts.values()))
        return dict(zip(parts, answers, strict=True))

    async def forget_device(self, session_id: int, epoch: int) -> None:
        """Remove what is kept of a device that is not linked any more; `epoch`: the newest when
        that was found. Raises `NotOwner`."""
        # Rows first: a row without its object would be a damaged checkpoint.
        await self.objects.delete(*await self.sessions.forget_device(session_id, epoch))


async def _ping(part: Database | Cache | ObjectStore) -> dict[str, Any]:
    started = time.perf_counter()
    try:
        await part.ping()
    except GatewayError as error:
        return {"ok": False, "error": error.detail}
    return {"ok": True, "latency_ms": round((time.perf_counter() - started) * 1000, 2)}
