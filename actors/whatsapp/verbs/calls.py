"""Incoming calls: a linked device can turn them down."""

from __future__ import annotations

from actors.whatsapp.jids import from_text
from actors.whatsapp.verbs.asking import ask
from actors.whatsapp.verbs.registry import Device
from cluster.domain.verbs import calls


@calls.Reject.handler
async def reject(device: Device, verb: calls.Reject) -> None:
    await ask(device, lambda library: library.reject_call(from_text(verb.caller), verb.call_id))
