"""A message in WAHA's shape, from what the history or a send says of it."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field

from api.models import WahaModel
from cluster.domain.content import public_content
from cluster.domain.message import OutboxState, SentMessage, StoredMessage
from cluster.domain.pacing import Limit
from cluster.domain.session import Me
from cluster.events.message_shape import message_payload

__all__ = ["FoundMessages", "MessageGateway", "ReplyToMessage", "WAMedia", "WAMessage"]


class WAMedia(WahaModel):
    url: str | None = None
    mimetype: str | None = None
    filename: str | None = None
    s3: dict[str, str] | None = None
    error: dict[str, Any] | None = None


class ReplyToMessage(WahaModel):
    id: str = Field(description="Bare id of the quoted message.")
    participant: str | None = None
    body: str | None = None
    hasMedia: bool = False
    media: WAMedia | None = None
    data: dict[str, Any] | None = Field(
        None, alias="_data", description="The quotation as the library gives it."
    )


class MessageGateway(WahaModel):
    """What this gateway says of a send beyond WAHA."""

    state: OutboxState = Field(description="How far the outbox has brought the message.")
    replayed: bool = Field(
        description="The idempotency key or id was seen before; this is the first send's answer."
    )
    position: int | None = Field(
        None, description="While sending limits hold it back: messages of the session before it."
    )
    estimatedSeconds: float | None = Field(
        None, description="While sending limits hold it back: when it goes out, about."
    )
    waitsFor: Limit | None = Field(
        None, description="The limit that holds it back; `turn`: others are before it."
    )


class WAMessage(WahaModel):
    """A message. `from` and `to` are chats: one of them is the session's own account."""

    id: str = Field(examples=["true_11111111111@c.us_3EB0AAAAAAAAAAAAAAAAAA"])
    timestamp: int = Field(description="Unix time in seconds", examples=[1666943582])
    from_: str = Field(alias="from", examples=["11111111111@c.us"])
    fromMe: bool
    source: str = Field(description="`api` or `app`: where the message was written.")
    to: str = Field(examples=["22222222222@c.us"])
    participant: str = Field(description="Who wrote it, in groups; empty elsewhere.")
    body: str = Field(description="Text or caption")
    hasMedia: bool
    media: WAMedia | None = None
    mediaUrl: str = Field("", deprecated=True, description="Use `media.url`.")
    ack: int = Field(ge=-1, le=4)
    ackName: str = Field(examples=["DEVICE"])
    author: str | None = Field(description="The same as `participant`, null without one.")
    location: dict[str, Any] | None = None
    vCards: list[str] | None = None
    replyTo: ReplyToMessage | None = None
    data: dict[str, Any] = Field(
        alias="_data", description="The message as the library gives it, in the form of GOWS."
    )
    gateway: MessageGateway | None = Field(None, description="In answers to sends.")

    @classmethod
    def of_history(cls, message: StoredMessage, me: Me | None, *, files: str = "") -> Self:
        """A message of the history; `me` is the session's account, `files` the URL under which
        its files are."""
        return cls.model_validate(message_payload(message, me, files=files))

    @classmethod
    def of_send(cls, sent: SentMessage, me: Me | None, *, files: str = "") -> Self:
        """The answer to a send; `me` is the session's account, `files` as in `of_history`."""
        payload = message_payload(sent.kept(me.account if me else ""), me, files=files)
        payload["_data"] |= {"content": public_content(sent.content)}
        place = sent.place
        payload["gateway"] = MessageGateway(
            state=sent.state,
            replayed=sent.replayed,
            position=place.ahead if place else None,
            estimatedSeconds=round(place.seconds, 1) if place else None,
            waitsFor=place.limit if place else None,
        )
        return cls.model_validate(payload)


class FoundMessages(WahaModel):
    """A page of what a search found."""

    messages: list[WAMessage]
    nextCursor: str | None = Field(description="Give it as `cursor` for the next page.")
