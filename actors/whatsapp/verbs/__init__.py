"""What a session can do at WhatsApp besides sending: one module per subject.

A verb is a coroutine function `(device, **arguments)`; arguments and results are JSON-able, JIDs
are strings. Importing this package registers all of them. A new subject is a new module, named
here.
"""

from __future__ import annotations

from actors.whatsapp.verbs import (
    calls,
    channels,
    chats,
    chatting,
    contacts,
    groups,
    labels,
    lids,
    media,
    presence,
    profile,
)
from actors.whatsapp.verbs.registry import Device, find, verb

__all__ = [
    "Device",
    "calls",
    "channels",
    "chats",
    "chatting",
    "contacts",
    "find",
    "groups",
    "labels",
    "lids",
    "media",
    "presence",
    "profile",
    "verb",
]
