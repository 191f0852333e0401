"""LIDs: the other address of a person, which says nothing of the phone number."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.domain.verbs.verb import Verb

__all__ = ["All", "Lid", "Phone"]


@dataclass(frozen=True, kw_only=True)
class All(Verb[list[tuple[str, str]]], name="lids.all"):
    """Pairs of LID and phone-number JID, by LID."""


@dataclass(frozen=True, kw_only=True)
class Phone(Verb[str], name="lids.phone"):
    """The phone-number JID; empty when it is not known."""

    lid: str


@dataclass(frozen=True, kw_only=True)
class Lid(Verb[str], name="lids.lid"):
    """The LID of a phone-number JID, asked of WhatsApp when the library does not know it; empty
    when WhatsApp does not either."""

    phone: str
