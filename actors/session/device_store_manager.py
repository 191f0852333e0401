"""The device store's way in and out of checkpoints, as one session needs it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

import structlog

from actors.checkpoint.checkpointer import Checkpointer
from actors.checkpoint.restore import restore
from actors.checkpoint.sealer import Sealer
from actors.session.checkpoint_events import CheckpointEvents
from actors.session.device_store import DeviceFolder
from cluster.domain.errors import GatewayError, NotOwner
from cluster.settings import Settings
from cluster.stores import Stores

__all__ = ["DeviceStoreManager"]

log = structlog.get_logger(__name__)


class DeviceStoreManager:
    """Restores the store before the first connect, checkpoints it after each change that matters.

    Invariant 2: unless the store is proven to be the very latest (the predecessor's own folder, or
    a clean handover's checkpoint), all pairwise sessions and sender keys are forgotten, before the
    store has the name under which the next owner would find it.
    """

    def __init__(
        self,
        *,
        session_id: int,
        epoch: int,
        folder: DeviceFolder,
        stores: Stores,
        settings: Settings,
        on_not_owner: Callable[[str], Awaitable[None]],
    ) -> None:
        self._session_id = session_id
        self._epoch = epoch
        self._folder = folder
        self._stores = stores
        self._on_not_owner = on_not_owner
        self._sealer = Sealer.from_setting(settings.checkpoint.keys.get_secret_value())
        self._checkpointer = Checkpointer(
            session_id=session_id,
            epoch=epoch,
            path=folder.database,
            store=stores.checkpoints,
            objects=stores.objects,
            sealer=self._sealer,
            settings=settings.checkpoint,
            written=CheckpointEvents(
                stores.events,
                session_id=session_id,
                epoch=epoch,
                every_seconds=settings.checkpoint.event_seconds,
            ).written,
        )
        self._forgotten = False

    async def open(self, *, handed_over: bool) -> asyncio.Task[None]:
        """Bring the newest store into the folder; gives the task that checkpoints it from then on.
        Nothing to bring: the device gets linked anew."""
        if self._folder.intact:
            log.info("checkpoint.local_store", session_id=self._session_id, epoch=self._epoch)
        else:
            report = await restore(
                self._session_id,
                self._folder.database,
                store=self._stores.checkpoints,
                objects=self._stores.objects,
                sealer=self._sealer,
                epoch=self._epoch,
                trusted=lambda found: (
                    handed_over and found.epoch == self._epoch - 1 and not found.fell_back
                ),
            )
            if report is not None:
                log.info(
                    "checkpoint.restored",
                    session_id=self._session_id,
                    epoch=self._epoch,
                    source=json.dumps([report.epoch, report.seq]),
                    forgot_sessions=report.forgot,
                    problems=report.problems,
                )
        await asyncio.to_thread(self._folder.discard_others)
        return self._checkpointer.start(on_not_owner=self._on_not_owner)

    def changed(self, trace: str = "") -> None:
        """Something happened that may have changed the store; `trace`: the request's."""
        if not self._forgotten:
            self._checkpointer.request(trace)

    async def close(self) -> bool:
        """The last checkpoint, after the connection was closed. True: it is the very latest."""
        try:
            await self._checkpointer.stop()
            if not self._forgotten:
                await self._checkpointer.checkpoint("stop")
        except NotOwner:
            raise
        except GatewayError as error:
            log.warning(
                "checkpoint.last_one_failed", session_id=self._session_id, error=error.detail
            )
            return False
        finally:
            await self._checkpointer.stop()
        return True

    async def release(self) -> None:
        """No checkpoint any more; the store stays as it is."""
        await self._checkpointer.stop()

    async def forget(self) -> None:
        """The device is unlinked: no checkpoint of it may come back to life."""
        self._forgotten = True
        await self._checkpointer.stop()
        await self._checkpointer.erase()
        self._folder.discard_database()
