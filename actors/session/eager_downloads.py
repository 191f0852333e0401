"""Attachments downloaded as they arrive (`MEDIA_DOWNLOAD=eager`), beside everything else."""

from __future__ import annotations

import asyncio

import structlog

from actors.whatsapp.port import WhatsAppClient
from cluster.domain.errors import GatewayError
from cluster.domain.message import StoredMessage
from cluster.domain.verbs.media import Keep
from cluster.media.links import file_of, object_key
from cluster.settings import MediaSettings
from cluster.stores import Stores
from cluster.stores.media import StoredFile

__all__ = ["EagerDownloads"]

log = structlog.get_logger(__name__)

_AT_ONCE = 2


class EagerDownloads:
    """One per session. What fails is left for the first request for the file."""

    def __init__(self, *, stores: Stores, settings: MediaSettings, session_id: int) -> None:
        self._stores = stores
        self._settings = settings
        self._session_id = session_id
        self._free = asyncio.Semaphore(_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    def arrived(self, message: StoredMessage, client: WhatsAppClient) -> None:
        """Start the download of a received message's attachment, if there is one."""
        if self._settings.download != "eager" or not message.has_media:
            return
        task = asyncio.create_task(self._download(message, client), name="eager-download")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Give up what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _download(self, message: StoredMessage, client: WhatsAppClient) -> None:
        file = file_of(message)
        if file is None or file.part is None or file.size > self._settings.max_bytes:
            return
        key = object_key(self._session_id, file.sha256)
        async with self._free:
            try:
                if await self._stores.objects.size(key) is not None:
                    return
                size = await client.request(
                    Keep(
                        part=file.part,
                        kind=file.kind,
                        key=key,
                        max_bytes=self._settings.max_bytes,
                    )
                )
                kept = StoredFile(
                    key=key, mimetype=file.mimetype, filename=file.filename, size=size
                )
                await self._stores.media.put(
                    self._session_id, kept, seconds=self._settings.lifetime_seconds
                )
            except GatewayError as error:
                log.warning("media.not_downloaded", id=message.message_id, error=error.detail)
