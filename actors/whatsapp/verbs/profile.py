"""The account's own name, about text and picture."""

from __future__ import annotations

from typing import Any

from actors.whatsapp.jids import to_text
from actors.whatsapp.verbs.asking import ask
from actors.whatsapp.verbs.contacts import picture_url
from actors.whatsapp.verbs.pictures import image
from actors.whatsapp.verbs.registry import Device, verb
from cluster.domain.jid import bare_jid


@verb("profile.get")
async def get(device: Device) -> dict[str, Any]:
    """`jid`, `name` and `picture` (URL, empty without one)."""
    me = await ask(device, lambda library: library.get_me())
    jid = bare_jid(to_text(me.JID))
    return {"jid": jid, "name": me.PushName, "picture": await picture_url(device, jid)}


@verb("profile.name")
async def set_name(device: Device, *, name: str) -> None:
    await ask(device, lambda library: library.set_profile_name(name))
    await device.emit_name()


@verb("profile.about")
async def set_about(device: Device, *, about: str) -> None:
    await ask(device, lambda library: library.set_status_message(about))


@verb("profile.picture")
async def set_picture(device: Device, *, jpeg: str) -> None:
    """`jpeg`: base64; empty removes the picture."""
    data = image(jpeg)
    await ask(device, lambda library: library.set_profile_photo(data))
