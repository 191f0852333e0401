"""Being online, and seeing whether others are."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.domain.contact import ChatPresence
from cluster.domain.verbs.verb import Verb

__all__ = ["All", "Get", "Set", "Subscribe"]


@dataclass(frozen=True, kw_only=True)
class Set(Verb[None], name="presence.set"):
    """Online or not, for everybody. WhatsApp reports others' presence only to those online."""

    online: bool


@dataclass(frozen=True, kw_only=True)
class Subscribe(Verb[None], name="presence.subscribe"):
    """Have a person's presence reported, while the connection lasts."""

    chat: str


@dataclass(frozen=True, kw_only=True)
class Get(Verb[ChatPresence], name="presence.get"):
    """Subscribe, wait a moment for an answer, and return what is known."""

    chat: str


@dataclass(frozen=True, kw_only=True)
class All(Verb[list[ChatPresence]], name="presence.all"):
    """What is known of every chat; a person's two addresses are one chat."""
