"""People that a session knows, or asks about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from cluster.domain.chat_id import parse_chat_id
from cluster.domain.contact import Contact
from cluster.domain.errors import Invalid
from cluster.domain.session import SessionStatus
from cluster.domain.verbs import contacts

if TYPE_CHECKING:
    from client.session import SessionClient

__all__ = ["Contacts"]

_PEOPLE = {"s.whatsapp.net", "lid"}
_MAX_NAME = 100


class Contacts:
    """Verbs of a session about people. `contact_id`: `…@c.us`, `…@lid` or a number; both addresses
    of a person are one contact. All raise `Invalid`, `SessionNotWorking` and `Unavailable`."""

    def __init__(self, session: SessionClient) -> None:
        self._session = session

    async def list(self) -> Sequence[Contact]:
        """Everybody the account knows: address book, chat partners, members of its groups. Whom
        the history knows is among them; while the session is not connected, only those."""
        stores, record = await self._session.opened()
        people = {one.jid: one for one in await stores.people.contacts(record.id)}
        if record.status is SessionStatus.WORKING or not people:
            for person in await self._session.request(contacts.All()):
                known = people.get(person.jid) or people.pop(person.lid, None)
                people[person.jid] = _completed(person, known) if known else person
        return list(people.values())

    async def get(self, contact_id: str) -> Contact:
        """One person, known or not: then without names."""
        return await self._session.request(contacts.Get(jid=_person(contact_id)))

    async def save(self, contact_id: str, first_name: str, last_name: str = "") -> None:
        """Write a person into the account's address book, on its phone as well."""
        if not first_name.strip() or max(len(first_name), len(last_name)) > _MAX_NAME:
            raise Invalid(f"a first name has 1 to {_MAX_NAME} characters", field="firstName")
        await self._session.request(
            contacts.Save(jid=_person(contact_id), first_name=first_name, last_name=last_name)
        )

    async def about(self, contact_id: str) -> str | None:
        """The about text; None when it is hidden, or there is no such account."""
        return await self._session.request(contacts.About(jid=_person(contact_id)))

    async def picture(self, contact_id: str) -> str | None:
        """URL of the picture of a person or group; None when there is none to be seen."""
        jid = parse_chat_id(contact_id, "contactId").jid
        return await self._session.request(contacts.Picture(jid=jid)) or None

    async def block(self, contact_id: str) -> None:
        await self._session.request(contacts.Block(jid=_person(contact_id), blocked=True))

    async def unblock(self, contact_id: str) -> None:
        await self._session.request(contacts.Block(jid=_person(contact_id), blocked=False))

    async def blocked(self) -> Sequence[str]:
        """JIDs of those the account blocks."""
        return await self._session.request(contacts.Blocked())


def _person(contact_id: str) -> str:
    person = parse_chat_id(contact_id, "contactId")
    if person.server not in _PEOPLE:
        raise Invalid("contactId is no person: …@c.us, …@lid or a number", field="contactId")
    return person.jid


def _completed(person: Contact, known: Contact) -> Contact:
    """What the library says, and where it says nothing what the history does."""
    return replace(
        person,
        name=person.name or known.name,
        push_name=person.push_name or known.push_name,
        lid=person.lid or known.lid,
    )
