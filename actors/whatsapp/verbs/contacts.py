"""People: the address book, push names, about texts, pictures, blocking.

The library keeps what it learns of a person under two addresses, phone number and LID; here they
are one contact, named by the phone number where it is known.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from neonize.proto.Neonize_pb2 import ContactInfo, GetProfilePictureParams
from neonize.proto.waSyncAction.WAWebProtobufSyncAction_pb2 import ContactAction, SyncActionValue
from neonize.utils.enum import BlocklistAction

from actors.whatsapp.jids import from_text, to_text
from actors.whatsapp.verbs import app_state, lids
from actors.whatsapp.verbs.asking import ask
from actors.whatsapp.verbs.registry import Device
from cluster.domain.contact import Contact
from cluster.domain.errors import NotPermitted, WhatsAppRefused
from cluster.domain.jid import bare_jid
from cluster.domain.verbs import contacts

__all__ = ["picture_url"]

#: whatsmeow (errors.go): ErrProfilePictureNotSet, ErrProfilePictureUnauthorized.
_NO_PICTURE = ("does not have a profile picture", "hidden their profile picture")
#: neonize's answer when WhatsApp knows none of the numbers.
_NOBODY = "returned nothing"


@contacts.All.handler
async def all_contacts(device: Device, verb: contacts.All) -> list[Contact]:
    phones = await lids.known(device)
    found = await ask(device, lambda library: library.contact.get_all_contacts())
    people: dict[str, Contact] = {}
    for entry in found:
        jid = to_text(entry.JID)
        phone = phones.get(jid, jid)
        people[phone] = _merged(people.get(phone) or Contact(jid=phone), jid, entry.Info)
    for lid, phone in phones.items():
        if phone in people:
            people[phone] = replace(people[phone], lid=lid)
    return list(people.values())


@contacts.Names.handler
async def names(device: Device, verb: contacts.Names) -> list[tuple[str, str, str]]:
    # The library has no call for some of many. A person may be kept under both addresses.
    rows = await device.rows(
        "SELECT c.their_jid, coalesce(m.pn || '@s.whatsapp.net', ''),"
        " coalesce(nullif(c.full_name, ''), c.first_name, ''), coalesce(c.push_name, '')"
        " FROM whatsmeow_contacts c"
        " LEFT JOIN whatsmeow_lid_map m ON c.their_jid = m.lid || '@lid'"
    )
    wanted, found = set(verb.jids), dict[str, tuple[str, str, str]]()
    for jid, phone, name, push_name in rows:
        for address in wanted.intersection((jid, phone)):
            _, known, called = found.get(address, (address, "", ""))
            found[address] = address, known or str(name), called or str(push_name)
    return list(found.values())


@contacts.Get.handler
async def get(device: Device, verb: contacts.Get) -> Contact:
    if verb.jid.endswith("@lid"):
        lid, phone = verb.jid, await lids.phone_of(device, verb.jid)
    else:
        lid, phone = await _lid_of(device, verb.jid), verb.jid
    person = Contact(jid=phone or lid, lid=lid)
    for address in filter(None, (phone, lid)):
        person = _merged(person, address, await ask(device, _contact(address)))
    return person


@contacts.Check.handler
async def check(device: Device, verb: contacts.Check) -> str:
    try:
        found = await ask(device, lambda library: library.is_on_whatsapp(verb.number))
    except WhatsAppRefused as error:
        if _NOBODY in error.detail:
            return ""
        raise
    jid = next((to_text(one.JID) for one in found if one.IsIn), "")
    return await device.by_phone(jid)


@contacts.Save.handler
async def save(device: Device, verb: contacts.Save) -> None:
    person = await get(device, contacts.Get(jid=verb.jid))
    full_name = f"{verb.first_name} {verb.last_name}".strip()
    action = ContactAction(
        fullName=full_name, firstName=verb.first_name, saveOnPrimaryAddressbook=True
    )
    if person.lid:
        action.lidJID = person.lid
    await app_state.change(
        device,
        "critical_unblock_low",
        ["contact", person.jid],
        2,
        SyncActionValue(contactAction=action),
    )


@contacts.About.handler
async def about(device: Device, verb: contacts.About) -> str | None:
    found = await ask(device, lambda library: library.get_user_info(from_text(verb.jid)))
    return next((str(one.UserInfo.Status) for one in found if one.UserInfo.Status), None)


@contacts.Picture.handler
async def picture(device: Device, verb: contacts.Picture) -> str:
    return await picture_url(device, verb.jid, preview=verb.preview)


@contacts.Block.handler
async def block(device: Device, verb: contacts.Block) -> None:
    action = BlocklistAction.BLOCK if verb.blocked else BlocklistAction.UNBLOCK
    await ask(device, lambda library: library.update_blocklist(from_text(verb.jid), action))


@contacts.Blocked.handler
async def blocked(device: Device, verb: contacts.Blocked) -> list[str]:
    found = await ask(device, lambda library: library.get_blocklist())
    return [await device.by_phone(bare_jid(to_text(jid))) for jid in found.JIDs]


async def picture_url(device: Device, jid: str, *, preview: bool = False) -> str:
    """See `contacts.picture`."""
    params = GetProfilePictureParams(Preview=preview)
    try:
        found = await ask(
            device, lambda library: library.get_profile_picture(from_text(jid), params)
        )
    except (WhatsAppRefused, NotPermitted) as error:
        if any(part in error.detail for part in _NO_PICTURE):
            return ""
        raise
    return str(found.URL)


def _contact(jid: str) -> Any:
    return lambda library: library.contact.get_contact(from_text(jid))


def _merged(person: Contact, jid: str, info: ContactInfo) -> Contact:
    """With what `info` says and `person` does not."""
    return replace(
        person,
        lid=jid if jid.endswith("@lid") else person.lid,
        first_name=person.first_name or info.FirstName,
        name=person.name or info.FullName,
        push_name=person.push_name or info.PushName,
        business_name=person.business_name or info.BusinessName,
    )


async def _lid_of(device: Device, phone: str) -> str:
    found = {number: lid for lid, number in (await lids.known(device)).items()}
    return found.get(phone, "")
