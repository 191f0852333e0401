"""Channels of a session."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from client import pictures
from client.workshop import Attachment
from cluster.domain.channel import Channel, ChannelMessage
from cluster.domain.chat_id import parse_chat_id
from cluster.domain.errors import Invalid
from cluster.domain.verbs import channels

if TYPE_CHECKING:
    from client.session import SessionClient

__all__ = ["Channels"]

_MAX_NAME, _MAX_DESCRIPTION = 100, 2048
_MAX_CODE = 128


class Channels:
    """Verbs of a session about channels. `channel`: `…@newsletter`, an invite code, or the link
    `https://whatsapp.com/channel/<code>`."""

    def __init__(self, session: SessionClient) -> None:
        self._session = session

    async def list(self) -> Sequence[Channel]:
        """Those this account follows or owns."""
        return await self._session.request(channels.List())

    async def get(self, channel: str) -> Channel:
        """Raises `NotFound`."""
        if "@" in channel:
            return await self._session.request(channels.Get(channel_id=_jid(channel)))
        return await self._session.request(channels.ByInvite(code=_code(channel)))

    async def create(
        self, name: str, description: str = "", picture: bytes | Attachment | None = None
    ) -> Channel:
        if not name.strip() or len(name) > _MAX_NAME:
            raise Invalid(f"a name has 1 to {_MAX_NAME} characters", field="name")
        if len(description) > _MAX_DESCRIPTION:
            raise Invalid(
                f"description is longer than {_MAX_DESCRIPTION} characters", field="description"
            )
        jpeg = await pictures.square_jpeg(self._session, picture) if picture else ""
        return await self._session.request(
            channels.Create(name=name, description=description, jpeg=jpeg)
        )

    async def follow(self, channel_id: str, *, following: bool = True) -> None:
        """Follow, or stop following."""
        await self._session.request(
            channels.Follow(channel_id=_jid(channel_id), following=following)
        )

    async def mute(self, channel_id: str, *, muted: bool = True) -> None:
        """Mute, or unmute."""
        await self._session.request(channels.Mute(channel_id=_jid(channel_id), muted=muted))

    async def messages(self, channel: str, limit: int = 10) -> Sequence[ChannelMessage]:
        """The newest messages, followed or not."""
        jid = channel if "@" in channel else (await self.get(channel)).jid
        return await self._session.request(channels.Messages(channel_id=_jid(jid), limit=limit))


def _jid(channel_id: str) -> str:
    chat = parse_chat_id(channel_id, "id")
    if chat.server != "newsletter":
        raise Invalid("id is not that of a channel: expected …@newsletter", field="id")
    return chat.jid


def _code(text: str) -> str:
    code = text.strip().partition("?")[0].rstrip("/").rpartition("/")[2]
    if not code or len(code) > _MAX_CODE:
        raise Invalid("id is neither …@newsletter nor an invite code", field="id")
    return code
