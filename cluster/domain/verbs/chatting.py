"""Seen and typing, and who is in a group."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.domain.verbs.verb import Verb

__all__ = ["Members", "Seen", "Typing"]


@dataclass(frozen=True, kw_only=True)
class Seen(Verb[None], name="chatting.seen"):
    """Send read receipts."""

    chat: str
    #: Who sent the messages; in a group it must be given.
    sender: str
    message_ids: list[str]


@dataclass(frozen=True, kw_only=True)
class Typing(Verb[None], name="chatting.typing"):
    """Show as typing (or recording), or as having stopped."""

    chat: str
    typing: bool
    recording: bool = False


@dataclass(frozen=True, kw_only=True)
class Members(Verb[list[str]], name="chatting.members"):
    """JIDs of everybody in a group but this account, for "mention all"."""

    chat: str
