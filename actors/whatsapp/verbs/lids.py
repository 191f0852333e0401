"""LIDs: the other address of a person, which says nothing of the phone number."""

from __future__ import annotations

from neonize.exc import GetJIDFromStoreError
from neonize.proto.Neonize_pb2 import JID

from actors.whatsapp.jids import from_text, to_text
from actors.whatsapp.verbs.asking import ask
from actors.whatsapp.verbs.registry import Device
from cluster.domain.errors import WhatsAppRefused
from cluster.domain.jid import lid_jid, phone_jid
from cluster.domain.verbs import lids

__all__ = ["known", "phone_of"]


@lids.All.handler
async def all_lids(device: Device, verb: lids.All) -> list[tuple[str, str]]:
    return sorted((await known(device)).items())


@lids.Phone.handler
async def phone(device: Device, verb: lids.Phone) -> str:
    return await phone_of(device, verb.lid)


@lids.Lid.handler
async def lid(device: Device, verb: lids.Lid) -> str:
    found = await _stored_lid(device, verb.phone)
    if not found:
        # The answer teaches the library the mapping.
        await ask(device, lambda library: library.get_user_info(from_text(verb.phone)))
        found = await _stored_lid(device, verb.phone)
    return found


async def known(device: Device) -> dict[str, str]:
    """LID → phone-number JID, all that the library has learned."""
    # The library has no call that lists them.
    rows = await device.rows("SELECT lid, pn FROM whatsmeow_lid_map")
    return {lid_jid(lid): phone_jid(phone) for lid, phone in rows}


async def phone_of(device: Device, lid: str) -> str:
    """The phone-number JID; empty when it is not known."""
    found = await device.by_phone(lid)
    return "" if found.endswith("@lid") else found


async def _stored_lid(device: Device, phone: str) -> str:
    async def find(jid: JID) -> JID:
        try:
            return await device.call(lambda library: library.get_lid_from_pn(jid))
        except (GetJIDFromStoreError, WhatsAppRefused):
            return JID()

    return to_text(await find(from_text(phone)))
