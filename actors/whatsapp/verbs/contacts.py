"""People: the address book, push names, about texts, pictures, blocking.

The library keeps what it learns of a person under two addresses, phone number and LID; here they
are one contact, named by the phone number where it is known.
"""

from __future__ import annotations

from typing import Any

from neonize.proto.Neonize_pb2 import ContactInfo, GetProfilePictureParams
from neonize.proto.waSyncAction.WAWebProtobufSyncAction_pb2 import ContactAction, SyncActionValue
from neonize.utils.enum import BlocklistAction

from actors.whatsapp.jids import from_text, to_text
from actors.whatsapp.verbs import app_state, lids
from actors.whatsapp.verbs.asking import ask
from actors.whatsapp.verbs.registry import Device, verb
from cluster.domain.errors import NotPermitted, WhatsAppRefused
from cluster.domain.jid import bare_jid

__all__ = ["picture_url"]

_FIELDS = ("first_name", "name", "push_name", "business_name")
#: whatsmeow (errors.go): ErrProfilePictureNotSet, ErrProfilePictureUnauthorized.
_NO_PICTURE = ("does not have a profile picture", "hidden their profile picture")
#: neonize's answer when WhatsApp knows none of the numbers.
_NOBODY = "returned nothing"


@verb("contacts.all")
async def all_contacts(device: Device) -> list[dict[str, Any]]:
    """Everybody the account knows, in no order."""
    phones = await lids.known(device)
    found = await ask(device, lambda library: library.contact.get_all_contacts())
    people: dict[str, dict[str, Any]] = {}
    for entry in found:
        jid = to_text(entry.JID)
        phone = phones.get(jid, jid)
        person = people.setdefault(phone, {"jid": phone} | dict.fromkeys(("lid", *_FIELDS), ""))
        _merge(person, jid, entry.Info)
    for lid, phone in phones.items():
        if phone in people:
            people[phone]["lid"] = lid
    return list(people.values())


@verb("contacts.names")
async def names(device: Device, *, jids: list[str]) -> list[list[str]]:
    """JID, name in the address book and push name of these people, as far as they have any; by
    the address that was asked for."""
    # The library has no call for some of many. A person may be kept under both addresses.
    rows = await device.rows(
        "SELECT c.their_jid, coalesce(m.pn || '@s.whatsapp.net', ''),"
        " coalesce(nullif(c.full_name, ''), c.first_name, ''), coalesce(c.push_name, '')"
        " FROM whatsmeow_contacts c"
        " LEFT JOIN whatsmeow_lid_map m ON c.their_jid = m.lid || '@lid'"
    )
    wanted, found = set(jids), dict[str, list[str]]()
    for jid, phone, name, push_name in rows:
        for address in wanted.intersection((jid, phone)):
            known = found.setdefault(address, [address, "", ""])
            known[1], known[2] = known[1] or str(name), known[2] or str(push_name)
    return list(found.values())


@verb("contacts.get")
async def get(device: Device, *, jid: str) -> dict[str, Any]:
    """One person, known or not."""
    if jid.endswith("@lid"):
        lid, phone = jid, await lids.phone_of(device, jid)
    else:
        lid, phone = await _lid_of(device, jid), jid
    person = {"jid": phone or lid, "lid": lid} | dict.fromkeys(_FIELDS, "")
    for address in filter(None, (phone, lid)):
        found = await ask(device, _contact(address))
        _merge(person, address, found)
    return person


@verb("contacts.check")
async def check(device: Device, *, number: str) -> str:
    """The JID of the account with this phone number (digits); empty when there is none."""
    try:
        found = await ask(device, lambda library: library.is_on_whatsapp(number))
    except WhatsAppRefused as error:
        if _NOBODY in error.detail:
            return ""
        raise
    jid = next((to_text(one.JID) for one in found if one.IsIn), "")
    return await device.by_phone(jid)


@verb("contacts.save")
async def save(device: Device, *, jid: str, first_name: str, last_name: str) -> None:
    """Write a person into the account's address book; also that of the phone."""
    person = await get(device, jid=jid)
    full_name = f"{first_name} {last_name}".strip()
    action = ContactAction(fullName=full_name, firstName=first_name, saveOnPrimaryAddressbook=True)
    if person["lid"]:
        action.lidJID = person["lid"]
    await app_state.change(
        device,
        "critical_unblock_low",
        ["contact", person["jid"]],
        2,
        SyncActionValue(contactAction=action),
    )


@verb("contacts.about")
async def about(device: Device, *, jid: str) -> str | None:
    """The about text; None when there is no such account or it is hidden."""
    found = await ask(device, lambda library: library.get_user_info(from_text(jid)))
    return next((str(one.UserInfo.Status) for one in found if one.UserInfo.Status), None)


@verb("contacts.picture")
async def picture(device: Device, *, jid: str, preview: bool = False) -> str:
    """URL of a person's, group's or channel's picture; empty when there is none to be seen."""
    return await picture_url(device, jid, preview=preview)


@verb("contacts.block")
async def block(device: Device, *, jid: str, blocked: bool) -> None:
    action = BlocklistAction.BLOCK if blocked else BlocklistAction.UNBLOCK
    await ask(device, lambda library: library.update_blocklist(from_text(jid), action))


@verb("contacts.blocked")
async def blocked(device: Device) -> list[str]:
    """Whom the account blocks, by phone number where it is known."""
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


def _merge(person: dict[str, Any], jid: str, info: ContactInfo) -> None:
    """Take over what `info` says and `person` does not."""
    if jid.endswith("@lid"):
        person["lid"] = jid
    names = (info.FirstName, info.FullName, info.PushName, info.BusinessName)
    for name, value in zip(_FIELDS, names, strict=True):
        person[name] = person[name] or value


async def _lid_of(device: Device, phone: str) -> str:
    found = {number: lid for lid, number in (await lids.known(device)).items()}
    return found.get(phone, "")
