"""People: the address book, push names, about texts, pictures, blocking."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.domain.contact import Contact
from cluster.domain.verbs.verb import Verb

__all__ = ["About", "All", "Block", "Blocked", "Check", "Get", "Names", "Picture", "Save"]


@dataclass(frozen=True, kw_only=True)
class All(Verb[list[Contact]], name="contacts.all"):
    """Everybody the account knows, in no order."""


@dataclass(frozen=True, kw_only=True)
class Names(Verb[list[tuple[str, str, str]]], name="contacts.names"):
    """JID, name in the address book and push name of these people, as far as they have any; by
    the address that was asked for."""

    jids: list[str]


@dataclass(frozen=True, kw_only=True)
class Get(Verb[Contact], name="contacts.get"):
    """One person, known or not."""

    jid: str


@dataclass(frozen=True, kw_only=True)
class Check(Verb[str], name="contacts.check"):
    """The JID of the account with this phone number; empty when there is none."""

    #: Digits.
    number: str


@dataclass(frozen=True, kw_only=True)
class Save(Verb[None], name="contacts.save"):
    """Write a person into the account's address book; also that of the phone."""

    jid: str
    first_name: str
    last_name: str


@dataclass(frozen=True, kw_only=True)
class About(Verb[str | None], name="contacts.about"):
    """The about text; None when there is no such account or it is hidden."""

    jid: str


@dataclass(frozen=True, kw_only=True)
class Picture(Verb[str], name="contacts.picture"):
    """URL of a person's, group's or channel's picture; empty when there is none to be seen."""

    jid: str
    preview: bool = False


@dataclass(frozen=True, kw_only=True)
class Block(Verb[None], name="contacts.block"):
    """Block somebody, or end that."""

    jid: str
    blocked: bool


@dataclass(frozen=True, kw_only=True)
class Blocked(Verb[list[str]], name="contacts.blocked"):
    """Whom the account blocks, by phone number where it is known."""
