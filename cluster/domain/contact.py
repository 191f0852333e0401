"""People, as a session knows them."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ChatPresence", "Contact", "LidPair", "PersonPresence", "Profile"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Contact:
    """One person; the phone number and the LID of it are one contact."""

    #: By phone number where it is known, else by LID.
    jid: str
    #: Empty when it is not known.
    lid: str = ""
    #: From the address book of the account.
    name: str = ""
    first_name: str = ""
    #: What the person calls itself.
    push_name: str = ""
    #: The verified name of a business.
    business_name: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class LidPair:
    """The two addresses of a person; empty: not known."""

    lid: str
    phone: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """The account's own."""

    jid: str
    name: str
    #: URL; empty without a picture.
    picture: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PersonPresence:
    """How somebody was last seen."""

    participant: str
    #: `online`, `offline`, `typing`, `recording`, `paused`
    state: str
    #: Unix seconds; 0: not known.
    last_seen: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatPresence:
    """How the people of a chat were last seen."""

    #: JID.
    chat: str
    presences: tuple[PersonPresence, ...]
