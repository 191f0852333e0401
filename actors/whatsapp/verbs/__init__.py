"""What does what a session can be asked to do at WhatsApp besides sending: one module per subject,
with a handler for each verb that the module of that name in `cluster.domain.verbs` declares.

Importing this package registers all of them. A new subject is a new module, named here.
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
from actors.whatsapp.verbs.registry import Device

__all__ = [
    "Device",
    "calls",
    "channels",
    "chats",
    "chatting",
    "contacts",
    "groups",
    "labels",
    "lids",
    "media",
    "presence",
    "profile",
]
