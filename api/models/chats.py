"""Bodies of the chats group."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints

from api.models import WahaModel
from api.models.chatting import MessageText
from api.models.messages import WAMessage
from api.paging import at_most, merged
from cluster.domain.chat import Chat
from cluster.domain.session import Me
from cluster.domain.waha_id import waha_id

__all__ = [
    "ChatInfo",
    "ChatPicture",
    "ChatSummary",
    "EditMessageRequest",
    "OverviewBody",
    "PinMessageRequest",
    "ReadMessages",
]

_Id = Annotated[str, StringConstraints(max_length=128)]


class ChatInfo(WahaModel):
    """A chat of the list, in the form of WAHA's GOWS engine."""

    id: str = Field(examples=["11111111111@c.us"])
    name: str | None = None
    conversationTimestamp: int = Field(description="Unix time in seconds of the newest message.")
    unreadCount: int = 0
    archived: bool = False
    markedAsUnread: bool = False

    @classmethod
    def of(cls, chat: Chat) -> Self:
        return cls(
            id=waha_id(chat.jid),
            name=chat.name or None,
            conversationTimestamp=int(chat.last_at.timestamp()),
            unreadCount=chat.unread,
            archived=chat.archived,
            markedAsUnread=chat.marked_unread,
        )


class ChatSummary(WahaModel):
    id: str
    name: str | None
    picture: str | None = Field(
        None, description="Always null here: `GET …/chats/{chatId}/picture` asks WhatsApp for it."
    )
    lastMessage: WAMessage | None
    chat: dict[str, Any] = Field(alias="_chat")

    @classmethod
    def of(cls, chat: Chat, me: Me | None, files: str) -> Self:
        message = chat.last_message
        return cls(
            id=waha_id(chat.jid),
            name=chat.name or None,
            lastMessage=WAMessage.of_history(message, me, files=files) if message else None,
            chat=ChatInfo.of(chat).model_dump(),
        )


class _OverviewPage(WahaModel):
    merge: Annotated[bool | None, AfterValidator(merged)] = True
    limit: Annotated[int, at_most(1000)] = Field(20, ge=0)
    offset: int = Field(0, ge=0, le=2**31 - 1)


class _OverviewFilter(WahaModel):
    ids: list[_Id] | None = Field(None, max_length=1000, examples=[["111111111@c.us"]])


class OverviewBody(WahaModel):
    pagination: _OverviewPage = _OverviewPage()
    filter: _OverviewFilter | None = None


class ChatPicture(WahaModel):
    url: str | None = Field(None, description="Null when there is none, or it is not shown to us.")


class ReadMessages(WahaModel):
    ids: list[str] | None = Field(None, description="Ids of the messages that have been read.")


class EditMessageRequest(WahaModel):
    text: MessageText
    mentions: list[_Id] | None = Field(None, max_length=1024)
    linkPreview: bool | None = True
    linkPreviewHighQuality: bool | None = False


class PinMessageRequest(WahaModel):
    duration: Literal[86400, 604800, 2592000] = Field(
        86400, description="Seconds: a day, a week or 30 days."
    )
