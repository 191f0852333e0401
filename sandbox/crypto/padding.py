"""The random padding around every end-to-end encrypted message (whatsmeow: message.go)."""

from __future__ import annotations

import os


class PaddingError(ValueError):
    """A decrypted message does not end in its padding."""


def pad(plaintext: bytes) -> bytes:
    """Append 1 to 15 bytes, each of them the number of them."""
    size = os.urandom(1)[0] & 0xF or 0xF
    return plaintext + bytes([size]) * size


def unpad(padded: bytes) -> bytes:
    """Take the padding off.

    Raises:
        PaddingError: empty, or the last byte does not count equal bytes.
    """
    size = padded[-1] if padded else 0
    if not 0 < size <= len(padded) or not padded.endswith(bytes([size]) * size):
        raise PaddingError("the message does not have the expected padding")
    return padded[:-size]
