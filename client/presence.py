"""Being online, and seeing whether others are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cluster.domain.chat_id import parse_chat_id
from cluster.domain.contact import PersonPresence
from cluster.domain.verbs import presence
from cluster.domain.verbs.chatting import Typing

if TYPE_CHECKING:
    from client.session import SessionClient

__all__ = ["Presence"]


class Presence:
    """Verbs of a session about presence. What others show is known from the subscription on, and
    only while the connection lasts."""

    def __init__(self, session: SessionClient) -> None:
        self._session = session

    async def set_online(self, online: bool) -> None:
        """For everybody. WhatsApp reports others' presence only to those who are online."""
        await self._session.request(presence.Set(online=online))

    async def set_typing(self, chat_id: str, *, typing: bool, recording: bool = False) -> None:
        """Typing (or recording) in a chat, or paused."""
        chat = parse_chat_id(chat_id).jid
        await self._session.request(Typing(chat=chat, typing=typing, recording=recording))

    async def subscribe(self, chat_id: str) -> None:
        chat = parse_chat_id(chat_id).jid
        await self._session.request(presence.Subscribe(chat=chat))

    async def get(self, chat_id: str) -> Sequence[PersonPresence]:
        """Subscribe, and answer what is known after a second at the most."""
        chat = parse_chat_id(chat_id).jid
        return (await self._session.request(presence.Get(chat=chat))).presences

    async def list(self) -> dict[str, Sequence[PersonPresence]]:
        """By JID of the chat: everything that is known."""
        return {one.chat: one.presences for one in await self._session.request(presence.All())}
