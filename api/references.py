"""WAHA's names of messages, read: `{fromMe}_{chat}_{id}[_{participant}]`, or the bare id."""

from __future__ import annotations

import re

from api.message_ids import MESSAGE_ID_PATTERN
from cluster.domain.chat_id import parse_chat_id
from cluster.domain.errors import Invalid
from cluster.domain.message_ref import MessageRef

__all__ = ["optional_reference", "reference"]

_BARE = re.compile(MESSAGE_ID_PATTERN.removesuffix("$") + r"\Z")
_FULL = re.compile(r"(true|false)_([^_]+)_([^_]+)(?:_([^_]+))?\Z")


def reference(text: str, field: str, *, chat: str = "") -> MessageRef:
    """Read a message's name; `chat` is the JID that a bare id belongs to. Raises `Invalid` naming
    `field`."""
    full = _FULL.match(text)
    bare = full[3] if full else text
    if not _BARE.match(bare):
        raise Invalid(
            f"{field} is not a message id: expected {{true|false}}_{{chatId}}_{{id}}", field=field
        )
    if full is None:
        return MessageRef(message_id=bare, chat=chat)
    sender = ""
    if full[4] and "@" in full[4]:
        sender = parse_chat_id(full[4], field).jid
    return MessageRef(
        message_id=bare,
        chat=parse_chat_id(full[2], field).jid,
        from_me=full[1] == "true",
        sender=sender,
    )


def optional_reference(text: str | None, field: str = "reply_to") -> MessageRef | None:
    """Like `reference`; nothing is nothing."""
    return reference(text, field) if text else None
