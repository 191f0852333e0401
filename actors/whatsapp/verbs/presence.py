"""Being online, and seeing whether others are."""

from __future__ import annotations

import asyncio
from typing import Any

from neonize.utils.enum import Presence

from actors.whatsapp.jids import from_text
from actors.whatsapp.presences import Seen
from actors.whatsapp.verbs.asking import ask
from actors.whatsapp.verbs.lids import known
from actors.whatsapp.verbs.registry import Device, verb

#: How long WhatsApp may take to report the presence of somebody just subscribed to, seconds.
_WAIT = 1.0
_INTERVAL = 0.05


@verb("presence.set")
async def set_presence(device: Device, *, online: bool) -> None:
    """Online or not, for everybody. WhatsApp reports others' presence only to those online."""
    state = Presence.AVAILABLE if online else Presence.UNAVAILABLE
    await ask(device, lambda library: library.send_presence(state))


@verb("presence.subscribe")
async def subscribe(device: Device, *, chat: str) -> None:
    await ask(device, lambda library: library.subscribe_presence(from_text(chat)))


@verb("presence.get")
async def get(device: Device, *, chat: str) -> dict[str, Any]:
    """Subscribe, wait a moment for an answer, and return what is known."""
    phones = await known(device)
    by_phone = phones.get(chat, chat)
    lid = next((lid for lid, phone in phones.items() if phone == by_phone), chat)
    if not chat.endswith("@g.us"):
        await subscribe(device, chat=chat)
    deadline = asyncio.get_running_loop().time() + _WAIT
    while not (found := device.presences.of_chat(by_phone, lid)):
        if asyncio.get_running_loop().time() > deadline:
            break
        await asyncio.sleep(_INTERVAL)
    return _shape(chat, found, phones)


@verb("presence.all")
async def get_all(device: Device) -> list[dict[str, Any]]:
    """What is known of every chat; a person's two addresses are one chat."""
    phones = await known(device)
    merged: dict[str, dict[str, Seen]] = {}
    for chat in device.presences.chats():
        merged.setdefault(phones.get(chat, chat), {}).update(device.presences.of_chat(chat))
    return [_shape(chat, found, phones) for chat, found in merged.items()]


def _shape(chat: str, found: dict[str, Seen], phones: dict[str, str]) -> dict[str, Any]:
    people = {phones.get(jid, jid): seen for jid, seen in found.items()}
    return {
        "chat": chat,
        "presences": [
            {"participant": jid, "state": seen.state, "last_seen": seen.last_seen}
            for jid, seen in people.items()
        ],
    }
