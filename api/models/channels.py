"""Bodies of the channels group."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, StringConstraints

from api.models import WahaModel
from api.models.files import FileBody
from api.models.messages import WAMessage
from cluster.domain.channel import Channel, ChannelMessage
from cluster.domain.message import Ack, StoredMessage
from cluster.domain.session import Me

__all__ = [
    "ChannelAnswer",
    "ChannelMessageAnswer",
    "ChannelRole",
    "CreateChannelRequest",
    "SearchByText",
    "SearchByView",
]

_Text = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")]
_Word = Annotated[str, StringConstraints(max_length=128)]
#: Pictures are shown as paths below it.
_MEDIA = "https://mmg.whatsapp.net"
_NO_TIME = datetime.fromtimestamp(0, UTC)
_WITH_MEDIA = {"image", "video", "audio", "document", "sticker"}


class ChannelRole(StrEnum):
    OWNER = "OWNER"
    ADMIN = "ADMIN"
    SUBSCRIBER = "SUBSCRIBER"
    GUEST = "GUEST"


class ChannelAnswer(WahaModel):
    id: str = Field(description="Newsletter id", examples=["123123123123@newsletter"])
    name: str
    invite: str = Field(examples=["https://whatsapp.com/channel/111111111111111111111111"])
    preview: str | None = Field(None, description="Preview for channel's picture")
    picture: str | None = None
    description: str | None = None
    verified: bool
    role: ChannelRole
    subscribersCount: int
    muted: bool = False

    @classmethod
    def of(cls, channel: Channel) -> Self:
        return cls(
            id=channel.jid,
            name=channel.name,
            invite=channel.invite,
            preview=_url(channel.preview),
            picture=_url(channel.picture),
            description=channel.description,
            verified=channel.verified,
            role=ChannelRole(channel.role),
            subscribersCount=channel.subscribers,
            muted=channel.muted,
        )


class CreateChannelRequest(WahaModel):
    name: _Text = Field(min_length=1, max_length=100, examples=["Channel Name"])
    description: _Text | None = Field(None, max_length=2048)
    picture: FileBody | None = None


class ChannelMessageAnswer(WahaModel):
    message: WAMessage
    reactions: dict[str, int] = Field(examples=[{"👍": 10, "❤️": 5}])
    viewCount: int

    @classmethod
    def of(cls, channel: str, message: ChannelMessage, me: Me | None) -> Self:
        stored = StoredMessage(
            message_id=str(message.server_id),
            chat=channel,
            sender=channel,
            from_me=False,
            timestamp=_NO_TIME,
            kind=message.kind,
            body=message.body,
            ack=Ack.SERVER,
            has_media=message.kind in _WITH_MEDIA,
            payload={"message": message.payload},
        )
        return cls(
            message=WAMessage.of_history(stored, me),
            reactions=message.reactions,
            viewCount=message.views,
        )


class SearchByView(WahaModel):
    view: _Word = "RECOMMENDED"
    countries: list[_Word] = Field(default_factory=lambda: ["US"], max_length=300)
    categories: list[_Word] = Field(default_factory=list, max_length=100)
    limit: int = Field(50, ge=0, le=1000)
    startCursor: _Word = ""


class SearchByText(WahaModel):
    text: _Word
    categories: list[_Word] = Field(default_factory=list, max_length=100)
    limit: int = Field(50, ge=0, le=1000)
    startCursor: _Word = ""


def _url(place: str) -> str | None:
    if not place:
        return None
    return f"{_MEDIA}{place}" if place.startswith("/") else place
