"""Channels (newsletters): looking, creating, following, muting."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.domain.channel import Channel, ChannelMessage
from cluster.domain.verbs.verb import Verb

__all__ = ["ByInvite", "Create", "Follow", "Get", "List", "Messages", "Mute", "React"]


@dataclass(frozen=True, kw_only=True)
class List(Verb[list[Channel]], name="channels.list"):
    """The channels this account follows or owns."""


@dataclass(frozen=True, kw_only=True)
class Get(Verb[Channel], name="channels.get"):
    """By JID."""

    channel_id: str


@dataclass(frozen=True, kw_only=True)
class ByInvite(Verb[Channel], name="channels.by_invite"):
    """By invite code, followed or not."""

    code: str


@dataclass(frozen=True, kw_only=True)
class Create(Verb[Channel], name="channels.create"):
    """This account owns it."""

    name: str
    description: str = ""
    #: Base64, or empty.
    jpeg: str = ""

    @property
    def repeatable(self) -> bool:
        return False


@dataclass(frozen=True, kw_only=True)
class Follow(Verb[None], name="channels.follow"):
    """Follow, or stop following."""

    channel_id: str
    following: bool


@dataclass(frozen=True, kw_only=True)
class Mute(Verb[None], name="channels.mute"):
    """Mute, or unmute."""

    channel_id: str
    muted: bool


@dataclass(frozen=True, kw_only=True)
class Messages(Verb[list[ChannelMessage]], name="channels.messages"):
    """The newest ones. The library has no message ids and times, only server ids."""

    channel_id: str
    limit: int


@dataclass(frozen=True, kw_only=True)
class React(Verb[None], name="channels.react"):
    """React to a post, by the number that the channel has it under; no emoji takes it back."""

    channel_id: str
    server_id: int
    emoji: str
    message_id: str
