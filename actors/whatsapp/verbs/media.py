"""Received attachments."""

from __future__ import annotations

from typing import Any

from actors.whatsapp.verbs.registry import Device, verb

__all__: list[str] = []


@verb("media.keep")
async def keep(device: Device, *, part: dict[str, Any], kind: str, key: str, max_bytes: int) -> int:
    """Bring the attachment of a received message into the object store, as `key`, up to
    `max_bytes`; returns its size. See `actors.media.downloads.keep`."""
    return await device.keep_media(part, kind, key, max_bytes)
