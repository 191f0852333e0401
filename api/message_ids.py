"""WAHA's names for chats and messages, and back.

A chat is `…@c.us` where the protocol says `…@s.whatsapp.net`; a message is
`{fromMe}_{chat}_{id}[_{participant}]`, the participant in groups and broadcasts only
(devlikeapro/waha, session.gows.core.ts, buildMessageId).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from cluster.domain.chat_id import ChatId, parse_chat_id
from cluster.domain.errors import Invalid

__all__ = ["MessageKey", "format_message_id", "is_shared", "parse_message_id", "waha_id"]

#: Ids of clients: 3EB0… of the web, 32 hex digits of Android, 20 of iOS.
MESSAGE_ID_PATTERN = r"^[A-Za-z0-9.-]{4,64}$"
_BARE = re.compile(MESSAGE_ID_PATTERN.removesuffix("$") + r"\Z")
_FULL = re.compile(r"(true|false)_([^_]+)_([^_]+)(?:_([^_]+))?\Z")


@dataclass(frozen=True, kw_only=True, slots=True)
class MessageKey:
    """What a message id of a caller says."""

    #: The id of the protocol, `3EB0…`.
    message_id: str
    #: None when the caller gave the bare id.
    chat: ChatId | None = None
    #: None when the caller gave the bare id.
    from_me: bool | None = None


def parse_message_id(text: str, field: str) -> MessageKey:
    """Read WAHA's long form or the protocol's bare id. Raises `Invalid` naming `field`."""
    full = _FULL.match(text)
    bare = full[3] if full else text
    if not _BARE.match(bare):
        raise Invalid(
            f"{field} is not a message id: expected {{true|false}}_{{chatId}}_{{id}}", field=field
        )
    if full is None:
        return MessageKey(message_id=bare)
    return MessageKey(
        message_id=bare, chat=parse_chat_id(full[2], field), from_me=full[1] == "true"
    )


def format_message_id(chat: str, message_id: str, *, from_me: bool, participant: str = "") -> str:
    """WAHA's long form. `chat` and `participant` are JIDs; the latter counts in shared chats."""
    parts = ["true" if from_me else "false", waha_id(chat), message_id]
    if participant and is_shared(chat):
        parts.append(waha_id(participant))
    return "_".join(parts)


def waha_id(jid: str) -> str:
    """`4915100001:3@s.whatsapp.net` → `4915100001@c.us`; other JIDs stay as they are."""
    user, at, server = jid.partition("@")
    if server in {"s.whatsapp.net", "lid", "c.us"}:
        user = user.partition(":")[0]
    return f"{user}{at}{'c.us' if server == 's.whatsapp.net' else server}"


def is_shared(chat: str) -> bool:
    """True for chats in which more than one other can write: groups and broadcasts."""
    return chat.endswith(("@g.us", "@broadcast"))
