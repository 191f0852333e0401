"""Addresses of WhatsApp: `user[:device]@server`.

The parts are what whatsmeow's `types/jid.go` (`ParseJID`) makes of it.
"""

from __future__ import annotations

__all__ = [
    "bare_jid",
    "jid_server",
    "jid_user",
    "lid_jid",
    "phone_jid",
    "split_jid",
    "without_agent",
]


def split_jid(jid: str) -> tuple[str, str, str]:
    """User, device (empty: none is named) and server. A text without `@` is a server."""
    user, _, server = jid.rpartition("@")
    user, _, device = user.partition(":")
    return user, device, server


def bare_jid(jid: str) -> str:
    """Without the device."""
    user, at, server = jid.rpartition("@")
    return f"{user.partition(':')[0]}{at}{server}"


def without_agent(jid: str) -> tuple[str, str]:
    """User and server, without device and agent (`4915100001.0:3@…`)."""
    return jid_user(jid).partition(".")[0], jid_server(jid)


def jid_user(text: str) -> str:
    """`4915100001`, without the device; of a text without `@`, all before a `:`."""
    return text.partition("@")[0].partition(":")[0]


def jid_server(jid: str) -> str:
    """`s.whatsapp.net`, `lid`, `g.us` …; empty without an `@`."""
    return jid.partition("@")[2]


def phone_jid(number: str) -> str:
    """The address of a phone number, given by its digits."""
    return f"{number}@s.whatsapp.net"


def lid_jid(user: str) -> str:
    """The address of a person whose number is hidden."""
    return f"{user}@lid"
