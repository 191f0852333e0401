"""Channels (WhatsApp's name in the protocol: newsletters)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["Channel", "ChannelMessage"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Channel:
    """A channel, as this account sees it."""

    jid: str
    name: str
    description: str = ""
    #: Link to follow it by.
    invite: str = ""
    #: URL, or path below WhatsApp's media hosts; empty: none.
    picture: str = ""
    preview: str = ""
    verified: bool = False
    subscribers: int = 0
    #: `OWNER`, `ADMIN`, `SUBSCRIBER`, `GUEST`
    role: str = "GUEST"
    muted: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class ChannelMessage:
    """A message of a channel. The library gives neither its id nor its time."""

    #: Counts up within the channel.
    server_id: int
    kind: str
    body: str
    views: int
    reactions: dict[str, int] = field(default_factory=dict)
    payload: dict[str, Any] = field(default_factory=dict)
