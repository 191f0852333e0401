"""Answers about what waits to be sent."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from pydantic import Field

from api.models import WahaModel
from client.outbox import OutboxEntry, Queue
from cluster.domain.chat_id import parse_chat_id
from cluster.domain.message import OutboxState
from cluster.domain.pacing import Limit

__all__ = ["OutboxMessage", "OutboxQueue", "PaceInfo"]


class OutboxMessage(WahaModel):
    """A message that was accepted."""

    id: str = Field(description="Bare id of the message.", examples=["3EB0AAAAAAAAAAAAAAAAAA"])
    chatId: str = Field(examples=["11111111111@c.us"])
    state: OutboxState
    acceptedAt: datetime
    position: int | None = Field(description="Messages before it; null once it was sent.")
    estimatedSeconds: float | None = Field(
        description="When it goes out, about, while the session is connected."
    )
    waitsFor: Limit | None
    error: str | None = Field(None, description="Why it failed for good.")

    @classmethod
    def of(cls, entry: OutboxEntry) -> Self:
        place = entry.place
        return cls(
            id=entry.message_id,
            chatId=parse_chat_id(entry.chat).waha,
            state=entry.state,
            acceptedAt=entry.accepted_at,
            position=place.ahead if place else None,
            estimatedSeconds=round(place.seconds, 1) if place else None,
            waitsFor=place.limit if place else None,
            error=entry.error or None,
        )


class PaceInfo(WahaModel):
    """The sending limits as they hold for the session now."""

    messagesPerMinute: float = Field(description="What a device of this age gets.")
    burst: int
    newChatsPerDay: int = Field(description="What a device of this age gets.")
    newChats: int = Field(description="Of the last 24 h.")
    warmedUp: float = Field(description="Share of the figures that the device gets, 0.2 to 1.")


class OutboxQueue(WahaModel):
    """What waits to be sent."""

    waiting: int
    pacing: PaceInfo | None = Field(description="Null: the session has no sending limits.")
    messages: list[OutboxMessage] = Field(description="The first of them, in order.")

    @classmethod
    def of(cls, queue: Queue) -> Self:
        policy, pacing = queue.policy, None
        if policy is not None:
            pacing = PaceInfo(
                messagesPerMinute=round(policy.per_minute * queue.share, 2),
                burst=policy.burst,
                newChatsPerDay=max(1, int(policy.new_chats_per_day * queue.share)),
                newChats=queue.new_chats,
                warmedUp=round(queue.share, 3),
            )
        return cls(
            waiting=queue.waiting,
            pacing=pacing,
            messages=[OutboxMessage.of(entry) for entry in queue.entries],
        )
