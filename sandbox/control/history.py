"""The control API of a phone's archive: what it sends a linked device of it."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from sandbox.control.api import Chosen, authorise
from sandbox.crypto.protobuf import wa
from sandbox.phone.history import HistoryChat, HistoryMessage

__all__ = ["routes"]

routes = APIRouter(dependencies=[Depends(authorise)])


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class OldMessage(_Body):
    """A message that was there before."""

    id: str
    text: str
    timestamp: int = Field(description="Unix seconds.")
    from_me: bool = False
    participant: str = Field("", description="JID of its author, in a group.")
    push_name: str = ""
    status: int = Field(4, ge=0, le=5, description="WhatsApp's: 2 sent, 3 delivered, 4 read.")


class OldChat(_Body):
    """A chat that was there before."""

    id: str = Field(description="JID, as the phone names it: by phone number or LID.")
    name: str = ""
    unread: int = 0
    archived: bool = False
    members: dict[str, int] = Field(default_factory=dict, description="JID → rank, of a group.")
    messages: list[OldMessage] = Field(default_factory=list)


class History(_Body):
    """What a phone sends a linked device of the past."""

    device: int = 1
    kind: Literal[
        "INITIAL_BOOTSTRAP", "INITIAL_STATUS_V3", "FULL", "RECENT", "PUSH_NAME", "ON_DEMAND"
    ] = "RECENT"
    inline: bool = Field(False, description="In the message itself, not by a download.")
    chats: list[OldChat] = Field(default_factory=list)
    push_names: dict[str, str] = Field(default_factory=dict, description="JID → name.")
    pairs: list[tuple[str, str]] = Field(
        default_factory=list, description="LID and phone-number JID of people."
    )


@routes.post("/phones/{number}/history", status_code=204)
async def send_history(one: Chosen, body: History) -> None:
    chats = [
        HistoryChat(
            id=chat.id,
            name=chat.name,
            unread=chat.unread,
            archived=chat.archived,
            members=chat.members,
            messages=[
                HistoryMessage(
                    id=message.id,
                    message=wa.Message(conversation=message.text),
                    timestamp=message.timestamp,
                    from_me=message.from_me,
                    participant=message.participant,
                    push_name=message.push_name,
                    status=message.status,
                )
                for message in chat.messages
            ],
        )
        for chat in body.chats
    ]
    await one.archive.send(
        body.device,
        body.kind,
        chats,
        push_names=body.push_names,
        pairs=body.pairs,
        inline=body.inline,
    )
