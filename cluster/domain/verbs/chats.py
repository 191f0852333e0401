"""Settings of chats and messages that all devices of the account share.

`last` of a chat: its newest message, where the history has one.
"""

from __future__ import annotations

from dataclasses import dataclass

from cluster.domain.message_ref import LastMessage, MessageKey
from cluster.domain.verbs.verb import Verb

__all__ = ["Archive", "Clear", "Delete", "MarkRead", "Picture", "Star"]


@dataclass(frozen=True, kw_only=True)
class Archive(Verb[None], name="chats.archive"):
    """Archive a chat, or bring it back."""

    chat: str
    archived: bool
    last: LastMessage | None = None


@dataclass(frozen=True, kw_only=True)
class MarkRead(Verb[None], name="chats.mark_read"):
    """Mark a whole chat as read or unread."""

    chat: str
    read: bool
    last: LastMessage | None = None


@dataclass(frozen=True, kw_only=True)
class Delete(Verb[None], name="chats.delete"):
    """Remove a chat, with its messages and media, from all devices of the account."""

    chat: str
    last: LastMessage | None = None


@dataclass(frozen=True, kw_only=True)
class Clear(Verb[None], name="chats.clear"):
    """Remove the messages of a chat from all devices, starred ones too."""

    chat: str
    last: LastMessage | None = None


@dataclass(frozen=True, kw_only=True)
class Star(Verb[None], name="chats.star"):
    """Star a message, or take the star away."""

    key: MessageKey
    starred: bool


@dataclass(frozen=True, kw_only=True)
class Picture(Verb[str], name="chats.picture"):
    """URL of the picture; empty when there is none, or none for this account."""

    chat: str
