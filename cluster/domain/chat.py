"""A chat, as the list of chats shows it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from cluster.domain.message import StoredMessage

__all__ = ["Chat", "ChatOrder"]

#: What a list of chats is sorted by: the time of the last message, the chat's JID, or its name.
ChatOrder = Literal["time", "id", "name"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Chat:
    """One chat of a session."""

    #: JID; for a person the phone-number JID where known.
    jid: str
    #: The contact's or the group's name; empty when nobody said it.
    name: str
    #: Time of the newest message (UTC).
    last_at: datetime
    #: None when the history does not hold it any more.
    last_message: StoredMessage | None
    #: Received and not read yet.
    unread: int
    archived: bool = False
    #: Marked as unread by hand.
    marked_unread: bool = False
