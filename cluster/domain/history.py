"""What a phone sends of the time before its device was linked, and what changes in groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from cluster.domain.chat_timer import ChatTimer
from cluster.domain.message import StoredMessage

__all__ = ["GroupEvent", "HistoryChat", "HistoryChunk"]


@dataclass(frozen=True, kw_only=True, slots=True)
class HistoryChat:
    """A chat as the phone shows it."""

    jid: str
    #: Of the address book, or the group's subject; empty: not known.
    name: str
    #: Time of its newest message (UTC).
    last_at: datetime
    archived: bool = False
    #: Marked as unread by hand.
    marked_unread: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupEvent:
    """What became known of a group; None: nothing of that."""

    jid: str
    #: When it was so (UTC).
    at: datetime
    subject: str | None = None
    description: str | None = None
    #: All members: JID to `participant`, `admin` or `superadmin`.
    members: Mapping[str, str] | None = None
    #: Those whose role is another one now.
    changed: Mapping[str, str] = field(default_factory=dict)
    #: Those who left.
    gone: tuple[str, ...] = ()
    #: Whether the account is in it.
    joined: bool | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class HistoryChunk:
    """A part of a history, small enough for one transaction."""

    chats: tuple[HistoryChat, ...] = ()
    messages: tuple[StoredMessage, ...] = ()
    #: (JID, name in the address book)
    names: tuple[tuple[str, str], ...] = ()
    #: (JID, what the person calls itself)
    push_names: tuple[tuple[str, str], ...] = ()
    #: (LID, phone-number JID) of a person
    pairs: tuple[tuple[str, str], ...] = ()
    groups: tuple[GroupEvent, ...] = ()
    timers: tuple[ChatTimer, ...] = ()
