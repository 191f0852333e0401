"""Labels of chats (WhatsApp Business)."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.domain.verbs.verb import Verb

__all__ = ["Edit", "LabelChat"]


@dataclass(frozen=True, kw_only=True)
class Edit(Verb[None], name="labels.edit"):
    """Create, change or delete a label."""

    label: str
    name: str
    #: Index into WhatsApp's palette.
    color: int
    deleted: bool


@dataclass(frozen=True, kw_only=True)
class LabelChat(Verb[None], name="labels.chat"):
    """Give a chat a label, or take it away."""

    label: str
    chat: str
    labeled: bool
