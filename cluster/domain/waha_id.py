"""WAHA's names for chats and messages, made from the protocol's.

A chat is `…@c.us` where the protocol says `…@s.whatsapp.net`; a message is
`{fromMe}_{chat}_{id}[_{participant}]`, the participant in groups and broadcasts only
(devlikeapro/waha, session.gows.core.ts, buildMessageId).
"""

from __future__ import annotations

from cluster.domain.jid import jid_user

__all__ = ["format_message_id", "is_shared", "waha_id"]


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
        user = jid_user(jid)
    return f"{user}{at}{'c.us' if server == 's.whatsapp.net' else server}"


def is_shared(chat: str) -> bool:
    """True for chats in which more than one other can write: groups and broadcasts."""
    return chat.endswith(("@g.us", "@broadcast"))
