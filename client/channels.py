"""Channels of a session."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from client import pictures
from client.workshop import Attachment
from cluster.domain.channel import Channel, ChannelMessage
from cluster.domain.chat_id import parse_chat_id
from cluster.domain.errors import Invalid

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
        found = await self._session.request("channels.list", repeatable=True)
        return [Channel(**one) for one in found]

    async def get(self, channel: str) -> Channel:
        """Raises `NotFound`."""
        if "@" in channel:
            found = await self._session.request(
                "channels.get", channel_id=_jid(channel), repeatable=True
            )
        else:
            found = await self._session.request(
                "channels.by_invite", code=_code(channel), repeatable=True
            )
        return Channel(**found)

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
        found = await self._session.request(
            "channels.create", name=name, description=description, jpeg=jpeg
        )
        return Channel(**found)

    async def follow(self, channel_id: str, *, following: bool = True) -> None:
        """Follow, or stop following."""
        await self._session.request(
            "channels.follow", channel_id=_jid(channel_id), following=following, repeatable=True
        )

    async def mute(self, channel_id: str, *, muted: bool = True) -> None:
        """Mute, or unmute."""
        await self._session.request(
            "channels.mute", channel_id=_jid(channel_id), muted=muted, repeatable=True
        )

    async def messages(self, channel: str, limit: int = 10) -> Sequence[ChannelMessage]:
        """The newest messages, followed or not."""
        jid = channel if "@" in channel else (await self.get(channel)).jid
        found = await self._session.request(
            "channels.messages", channel_id=_jid(jid), limit=limit, repeatable=True
        )
        return [ChannelMessage(**one) for one in found]


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
