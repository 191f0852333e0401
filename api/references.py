"""WAHA's names of messages, read: `{fromMe}_{chat}_{id}[_{participant}]`, or the bare id."""

from __future__ import annotations

import re

from api.message_ids import MESSAGE_ID_PATTERN
from cluster.domain.chat_id import parse_chat_id
from cluster.domain.errors import Invalid
from cluster.domain.jid import jid_server
from cluster.domain.message_ref import MessageRef

__all__ = ["optional_reference", "reference"]

_BARE = re.compile(MESSAGE_ID_PATTERN.removesuffix("$") + r"\Z")
_FULL = re.compile(r"(true|false)_([^_]+)_([^_]+)(?:_([^_]+))?\Z")
#: `{fromMe}_{channel}@newsletter_{number}_{id}`, or only one of the last two (WAHA's docs,
#: channels).
_POST = re.compile(
    r"(?:true|false)_([0-9]{1,25})@newsletter_([A-Za-z0-9.-]{1,64})(?:_([A-Za-z0-9.-]{4,64}))?\Z"
)
#: Numbers of posts are shorter than ids of messages.
_LONG = 12


def reference(text: str, field: str, *, chat: str = "") -> MessageRef:
    """Read a message's name; `chat` is the JID that it belongs to, whether it says so or not.
    Raises `Invalid` naming `field`."""
    found = _read(text, field, chat)
    servers = {jid_server(found.chat), jid_server(chat)}
    # One person may be known by number and by LID.
    if chat and found.chat != chat and servers != {"s.whatsapp.net", "lid"}:
        raise Invalid(f"{field} belongs to another chat", field=field)
    return found


def _read(text: str, field: str, chat: str) -> MessageRef:
    if post := _POST.match(text):
        return _post(*post.groups())
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


def _post(channel: str, first: str, second: str | None) -> MessageRef:
    """A channel's post: by its number, its id, or both."""
    number = int(first) if first.isdecimal() and len(first) < _LONG else 0
    return MessageRef(
        message_id=second or first,
        chat=f"{channel}@newsletter",
        from_me=False,
        server_id=number,
    )


def optional_reference(text: str | None, field: str = "reply_to") -> MessageRef | None:
    """Like `reference`; nothing is nothing."""
    return reference(text, field) if text else None
