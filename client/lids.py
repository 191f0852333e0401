"""Which LID belongs to which phone number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cluster.domain.chat_id import parse_chat_id
from cluster.domain.contact import LidPair
from cluster.domain.errors import Invalid
from cluster.domain.jid import lid_jid
from cluster.domain.verbs import lids

if TYPE_CHECKING:
    from client.session import SessionClient

__all__ = ["Lids"]


class Lids:
    """What a session learned of the two addresses that people have."""

    def __init__(self, session: SessionClient) -> None:
        self._session = session

    async def list(self) -> Sequence[LidPair]:
        """All known pairs, by LID."""
        found = await self._session.request(lids.All())
        return [LidPair(lid=lid, phone=phone) for lid, phone in found]

    async def phone_of(self, lid: str) -> LidPair:
        """`lid`: with or without `@lid`."""
        chat = parse_chat_id(lid if "@" in lid else lid_jid(lid), "lid")
        if chat.server != "lid":
            raise Invalid("lid must be …@lid", field="lid")
        phone = await self._session.request(lids.Phone(lid=chat.jid))
        return LidPair(lid=chat.jid, phone=phone)

    async def lid_of(self, phone_number: str) -> LidPair:
        """`phone_number`: `…@c.us` or a number; WhatsApp is asked when it is not known."""
        chat = parse_chat_id(phone_number, "phoneNumber")
        if chat.server != "s.whatsapp.net":
            raise Invalid("phoneNumber must be a number or …@c.us", field="phoneNumber")
        lid = await self._session.request(lids.Lid(phone=chat.jid))
        return LidPair(lid=lid, phone=chat.jid)
