"""LTHash: a sum over a set, so that adding and removing members keeps it without the rest.

whatsmeow: appstate/lthash. Each member is stretched to 64 little-endian 16-bit numbers, which
are added or subtracted place by place.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from sandbox.crypto import hkdf

#: length of a hash, in bytes
SIZE = 128
EMPTY = bytes(SIZE)
_INFO = b"WhatsApp Patch Integrity"
_WORDS = struct.Struct(f"<{SIZE // 2}H")


def subtract_then_add(base: bytes, subtract: Iterable[bytes], add: Iterable[bytes]) -> bytes:
    """The hash `base` (128 bytes) without the members `subtract` and with `add`."""
    words = list(_WORDS.unpack(base))
    for members, sign in ((subtract, -1), (add, 1)):
        for member in members:
            stretched = _WORDS.unpack(hkdf.derive(member, SIZE, info=_INFO))
            words = [(a + sign * b) & 0xFFFF for a, b in zip(words, stretched, strict=True)]
    return _WORDS.pack(*words)
