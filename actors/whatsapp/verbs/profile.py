"""The account's own name, about text and picture."""

from __future__ import annotations

from actors.whatsapp.jids import to_text
from actors.whatsapp.verbs.asking import ask
from actors.whatsapp.verbs.contacts import picture_url
from actors.whatsapp.verbs.pictures import image
from actors.whatsapp.verbs.registry import Device
from cluster.domain.contact import Profile
from cluster.domain.jid import bare_jid
from cluster.domain.verbs import profile


@profile.Get.handler
async def get(device: Device, verb: profile.Get) -> Profile:
    me = await ask(device, lambda library: library.get_me())
    jid = bare_jid(to_text(me.JID))
    return Profile(jid=jid, name=me.PushName, picture=await picture_url(device, jid))


@profile.Name.handler
async def set_name(device: Device, verb: profile.Name) -> None:
    await ask(device, lambda library: library.set_profile_name(verb.name))
    await device.emit_name()


@profile.About.handler
async def set_about(device: Device, verb: profile.About) -> None:
    await ask(device, lambda library: library.set_status_message(verb.about))


@profile.Picture.handler
async def set_picture(device: Device, verb: profile.Picture) -> None:
    data = image(verb.jpeg)
    await ask(device, lambda library: library.set_profile_photo(data))
