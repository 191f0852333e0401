"""Message ids, chosen before a message is accepted, so that every try of it carries the same."""

from __future__ import annotations

import hashlib
import re
import secrets
import struct
import time

from cluster.domain.errors import Invalid

__all__ = ["check_message_id", "new_message_id"]

_FORM = re.compile(r"[A-Z0-9]{16,40}\Z")


def new_message_id(user: str = "") -> str:
    """A fresh id as WhatsApp Web makes them: `3EB0` and 18 upper-case hex digits
    (whatsmeow send.go, `GenerateMessageID`). `user` is the sender's phone number, if known."""
    seed = struct.pack(">Q", int(time.time()))
    if user:
        seed += f"{user}@c.us".encode()
    return "3EB0" + hashlib.sha256(seed + secrets.token_bytes(16)).hexdigest()[:18].upper()


def check_message_id(text: str) -> str:
    """Return `text` if it can serve as a message id, raise `Invalid` otherwise."""
    if not _FORM.match(text):
        raise Invalid("id must be 16 to 40 characters of A-Z and 0-9", field="id")
    return text
