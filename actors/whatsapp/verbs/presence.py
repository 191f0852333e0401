"""Being online, and seeing whether others are."""

from __future__ import annotations

import asyncio

from neonize.utils.enum import Presence

from actors.whatsapp.jids import from_text
from actors.whatsapp.presences import Seen
from actors.whatsapp.verbs.asking import ask
from actors.whatsapp.verbs.lids import known
from actors.whatsapp.verbs.registry import Device
from cluster.domain.contact import ChatPresence, PersonPresence
from cluster.domain.verbs import presence

#: How long WhatsApp may take to report the presence of somebody just subscribed to, seconds.
_WAIT = 1.0
_INTERVAL = 0.05


@presence.Set.handler
async def set_presence(device: Device, verb: presence.Set) -> None:
    state = Presence.AVAILABLE if verb.online else Presence.UNAVAILABLE
    await ask(device, lambda library: library.send_presence(state))


@presence.Subscribe.handler
async def subscribe(device: Device, verb: presence.Subscribe) -> None:
    await ask(device, lambda library: library.subscribe_presence(from_text(verb.chat)))


@presence.Get.handler
async def get(device: Device, verb: presence.Get) -> ChatPresence:
    phones = await known(device)
    by_phone = phones.get(verb.chat, verb.chat)
    lid = next((lid for lid, phone in phones.items() if phone == by_phone), verb.chat)
    if not verb.chat.endswith("@g.us"):
        await subscribe(device, presence.Subscribe(chat=verb.chat))
    deadline = asyncio.get_running_loop().time() + _WAIT
    while not (found := device.presences.of_chat(by_phone, lid)):
        if asyncio.get_running_loop().time() > deadline:
            break
        await asyncio.sleep(_INTERVAL)
    return _shape(verb.chat, found, phones)


@presence.All.handler
async def get_all(device: Device, verb: presence.All) -> list[ChatPresence]:
    phones = await known(device)
    merged: dict[str, dict[str, Seen]] = {}
    for chat in device.presences.chats():
        merged.setdefault(phones.get(chat, chat), {}).update(device.presences.of_chat(chat))
    return [_shape(chat, found, phones) for chat, found in merged.items()]


def _shape(chat: str, found: dict[str, Seen], phones: dict[str, str]) -> ChatPresence:
    people = {phones.get(jid, jid): seen for jid, seen in found.items()}
    return ChatPresence(
        chat=chat,
        presences=tuple(
            [
                PersonPresence(participant=jid, state=seen.state, last_seen=seen.last_seen)
                for jid, seen in people.items()
            ]
        ),
    )
