"""Incoming calls: a linked device can turn them down."""

from __future__ import annotations

from actors.whatsapp.jids import from_text
from actors.whatsapp.verbs.asking import ask
from actors.whatsapp.verbs.registry import Device, verb


@verb("calls.reject")
async def reject(device: Device, *, caller: str, call_id: str) -> None:
    """`caller`: the JID in the call's event."""
    await ask(device, lambda library: library.reject_call(from_text(caller), call_id))
