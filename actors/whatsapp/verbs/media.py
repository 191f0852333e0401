"""Received attachments."""

from __future__ import annotations

from actors.whatsapp.verbs.registry import Device
from cluster.domain.verbs import media

__all__: list[str] = []


@media.Keep.handler
async def keep(device: Device, verb: media.Keep) -> int:
    return await device.keep_media(verb.part, verb.kind, verb.key, verb.max_bytes)
