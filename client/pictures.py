"""Pictures of people, groups and channels, as WhatsApp wants them: square JPEGs."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING

from client.workshop import Attachment
from cluster.domain.errors import BodyTooLarge
from cluster.media.links import object_key

if TYPE_CHECKING:
    from client.session import SessionClient

__all__ = ["square_jpeg"]

_MAX_BYTES = 16 << 20


async def square_jpeg(session: SessionClient, image: bytes | Attachment) -> str:
    """`image`, in any format Pillow reads, cropped to its middle square; base64.

    Raises `Invalid` when it is none, or cannot be had.
    """
    given = image if isinstance(image, Attachment) else Attachment(data=image)
    stores, record = await session.working()
    async with session.workshop.spool() as spool:
        file = await session.workshop.collect(
            given, spool, stores.objects, object_key(record.id, "")
        )
        if file.size > _MAX_BYTES:
            raise BodyTooLarge(f"a picture has at most {_MAX_BYTES} bytes", limit=_MAX_BYTES)
        made = spool.path("square")
        await session.workshop.preparer.prepare("square", file.path, made)
        return base64.b64encode(await asyncio.to_thread(made.read_bytes)).decode()
