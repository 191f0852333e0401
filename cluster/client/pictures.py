"""Pictures of people, groups and channels, as WhatsApp wants them: square JPEGs."""

from __future__ import annotations

import asyncio
import base64
import io
from typing import TYPE_CHECKING

from PIL import Image, ImageOps, UnidentifiedImageError

from cluster.domain.errors import BodyTooLarge, Invalid
from cluster.media.links import object_key
from cluster.media.workshop import Attachment

if TYPE_CHECKING:
    from cluster.client.session import SessionClient

__all__ = ["square_jpeg"]

#: What WhatsApp's own clients upload.
_SIDE = 640
_QUALITY = 85
_MAX_BYTES = 16 << 20
#: A small file can unpack to gigabytes.
_MAX_PIXELS = 64_000_000


async def square_jpeg(session: SessionClient, image: bytes | Attachment) -> str:
    """`image`, in any format Pillow reads, cropped to its middle square; base64.

    Raises `Invalid` when it is none, or cannot be had.
    """
    if isinstance(image, Attachment):
        stores, record = await session.working()
        async with session.workshop.spool() as spool:
            file = await session.workshop.collect(
                image, spool, stores.objects, object_key(record.id, "")
            )
            if file.size > _MAX_BYTES:
                raise BodyTooLarge(f"a picture has at most {_MAX_BYTES} bytes", limit=_MAX_BYTES)
            image = await asyncio.to_thread(file.path.read_bytes)
    return base64.b64encode(await asyncio.to_thread(_convert, image)).decode()


def _convert(image: bytes) -> bytes:
    try:
        with Image.open(io.BytesIO(image)) as opened:
            if opened.width * opened.height > _MAX_PIXELS:
                raise Invalid(f"the image has more than {_MAX_PIXELS} pixels", field="file")
            upright = ImageOps.exif_transpose(opened).convert("RGB")
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
        raise Invalid("file is no image that can be read", field="file") from error
    side = min(upright.width, upright.height, _SIDE)
    square = ImageOps.fit(upright, (side, side))
    out = io.BytesIO()
    square.save(out, "JPEG", quality=_QUALITY)
    return out.getvalue()
