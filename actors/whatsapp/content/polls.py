"""Polls and votes (whatsmeow: msgsecret.go, BuildPollCreation, BuildPollVote)."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from typing import Any

from neonize.proto.Neonize_pb2 import MessageInfo, MessageSource
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import (
    Message,
    MessageContextInfo,
    PollCreationMessage,
)

from actors.whatsapp.content.composer import Composer
from actors.whatsapp.content.context import with_context
from actors.whatsapp.jids import from_text
from cluster.domain.content import Poll, PollVote

__all__ = ["BUILDERS", "VOTE_BUILDERS"]


def _poll(content: Poll) -> Message:
    """`text` (the question), `options`, `selectable` (0: any number), `_secret` (32 bytes, base64:
    votes are encrypted with it, so every try of the poll has the same)."""
    part = PollCreationMessage(
        name=str(content["text"]),
        options=[PollCreationMessage.Option(optionName=str(o)) for o in content["options"]],
        selectableOptionsCount=int(content["selectable"]),
    )
    return Message(
        pollCreationMessage=with_context(part, content),
        messageContextInfo=MessageContextInfo(messageSecret=base64.b64decode(content["_secret"])),
    )


async def _vote(content: PollVote, composer: Composer) -> Message:
    """`key` names the poll, `options` are the chosen ones; none takes the vote back."""
    key, nobody = content["key"], from_text("@")
    # The library's form wants every field; only these name the poll (neonize.proto, MessageInfo).
    info = MessageInfo(
        ID=key["id"],
        MessageSource=MessageSource(
            Chat=from_text(key["chat"]),
            Sender=from_text(key["sender"]),
            IsFromMe=bool(key["from_me"]),
            IsGroup=str(key["chat"]).endswith("@g.us"),
            SenderAlt=nobody,
            RecipientAlt=nobody,
            BroadcastListOwner=nobody,
        ),
        ServerID=0,
        Type="",
        Pushname="",
        Timestamp=0,
        Category="",
        Multicast=False,
        MediaType="",
        Edit="",
    )
    options = [str(option) for option in content["options"]]
    return await composer.call(lambda library: library.build_poll_vote(info, options))


BUILDERS: dict[str, Callable[[Any], Message]] = {"poll": _poll}
VOTE_BUILDERS: dict[str, Callable[[Any, Composer], Awaitable[Message]]] = {"poll_vote": _vote}
