"""Reading WAHA's names of messages; `cluster.domain.waha_id` makes them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cluster.domain.chat_id import ChatId, parse_chat_id
from cluster.domain.errors import Invalid
from cluster.domain.waha_id import format_message_id, is_shared, waha_id

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
