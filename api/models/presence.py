"""Bodies of the presence group."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Self

from pydantic import Field

from api.message_ids import waha_id
from api.models import WahaModel
from cluster.domain.contact import PersonPresence

__all__ = ["ChatPresences", "PresenceData", "PresenceState", "SessionPresence"]


class PresenceState(StrEnum):
    OFFLINE = "offline"
    ONLINE = "online"
    TYPING = "typing"
    RECORDING = "recording"
    PAUSED = "paused"


class SessionPresence(WahaModel):
    chatId: str | None = Field(
        None,
        max_length=128,
        description="Required for typing, recording and paused; none for online and offline.",
        examples=["11111111111@c.us"],
    )
    presence: PresenceState


class PresenceData(WahaModel):
    participant: str = Field(examples=["11111111111@c.us"])
    lastSeen: int | None = Field(None, description="Unix time", examples=[1686568773])
    lastKnownPresence: PresenceState

    @classmethod
    def of(cls, person: PersonPresence) -> Self:
        return cls(
            participant=waha_id(person.participant),
            lastSeen=person.last_seen or None,
            lastKnownPresence=PresenceState(person.state),
        )


class ChatPresences(WahaModel):
    id: str = Field(description="Chat", examples=["11111111111@c.us"])
    presences: list[PresenceData]

    @classmethod
    def of(cls, chat: str, people: Sequence[PersonPresence]) -> Self:
        return cls(id=waha_id(chat), presences=[PresenceData.of(one) for one in people])
