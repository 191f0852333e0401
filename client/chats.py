"""Chats of a session: the list, and what is done to a chat as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from client import references
from cluster.domain.chat import Chat, ChatOrder
from cluster.domain.chat_id import parse_chat_id
from cluster.domain.errors import GatewayError, NotFound
from cluster.domain.message import MessageFilter, StoredMessage
from cluster.domain.message_ref import LastMessage, MessageRef
from cluster.domain.session import SessionRecord, SessionStatus
from cluster.domain.verbs import chats, contacts
from cluster.stores import Stores

if TYPE_CHECKING:
    from client.session import SessionClient

__all__ = ["Chats"]

log = structlog.get_logger(__name__)

#: Seconds that the address book may take: without it the list has the names that were known.
_NAMES_SECONDS = 5.0


class Chats:
    """Verbs of a session about its chats. What was read or written comes from the gateway's own
    history; changes go to WhatsApp first, and so to all devices of the account."""

    def __init__(self, session: SessionClient) -> None:
        self._session = session

    async def list(
        self,
        *,
        ids: Sequence[str] = (),
        limit: int = 100,
        offset: int = 0,
        order: ChatOrder = "time",
        ascending: bool = False,
    ) -> Sequence[Chat]:
        """Chats with their last messages; `ids` narrows them."""
        stores, record = await self._session.opened()
        wanted = [parse_chat_id(chat, "ids").jid for chat in ids]
        found = await stores.chats.list(
            record.id,
            ids=wanted or None,
            limit=limit,
            offset=offset,
            order=order,
            ascending=ascending,
        )
        people = [chat.jid for chat in found if chat.jid.endswith(("@s.whatsapp.net", "@lid"))]
        if not people or record.status is not SessionStatus.WORKING:
            return found
        try:
            named = await self._session.request(contacts.Names(jids=people), timeout=_NAMES_SECONDS)
        except GatewayError as error:
            # The list is there all the same, under the names that were known.
            log.info("chats.names_not_asked", session=self._session.name, error=error.detail)
            return found
        names = {jid: (name, push_name) for jid, name, push_name in named}
        await stores.people.named(record.id, names)
        return [_named(chat, *names.get(chat.jid, ("", ""))) for chat in found]

    async def message(self, ref: MessageRef) -> StoredMessage:
        """One message. Raises `NotFound`."""
        stores, record = await self._session.opened()
        message = await references.known_message(stores, record, ref)
        if message is None:
            raise NotFound("there is no such message in this session's history")
        return message

    async def picture(self, chat_id: str) -> str:
        """URL of the chat's picture at WhatsApp; empty when there is none to be seen."""
        return await self._session.request(chats.Picture(chat=parse_chat_id(chat_id).jid))

    async def archive(self, chat_id: str, archived: bool) -> None:
        """Archive a chat, or bring it back."""
        stores, record, jid, last = await self._chat(chat_id)
        await self._session.request(chats.Archive(chat=jid, archived=archived, last=last))
        await stores.chats.set_archived(record.id, jid, archived)

    async def mark_read(self, chat_id: str, read: bool) -> None:
        """Mark a whole chat as read or unread. Sends no read receipts."""
        stores, record, jid, last = await self._chat(chat_id)
        await self._session.request(chats.MarkRead(chat=jid, read=read, last=last))
        await stores.chats.set_unread(record.id, jid, marked=not read)

    async def delete(self, chat_id: str) -> None:
        """Remove a chat from all devices of the account and from the history."""
        stores, record, jid, last = await self._chat(chat_id)
        await self._session.request(chats.Delete(chat=jid, last=last))
        await stores.chats.delete(record.id, jid)

    async def clear(self, chat_id: str) -> None:
        """Remove the messages of a chat from all devices of the account and from the history."""
        stores, record, jid, last = await self._chat(chat_id)
        await self._session.request(chats.Clear(chat=jid, last=last))
        await stores.chats.clear(record.id, jid)

    async def _chat(self, chat_id: str) -> tuple[Stores, SessionRecord, str, LastMessage | None]:
        """The session's stores and record, the chat's JID, and its newest message."""
        jid = parse_chat_id(chat_id).jid
        stores, record = await self._session.opened()
        newest = await stores.messages.list(record.id, MessageFilter(chat=jid, limit=1))
        return stores, record, jid, references.last_of(newest[0]) if newest else None


def _named(chat: Chat, name: str, push_name: str) -> Chat:
    """As the address book says; else as it was, or as the person calls itself."""
    return replace(chat, name=name or chat.name or push_name)
