"""Ids of events: `evt_` and a lower-case ULID, as WAHA's (https://github.com/ulid/spec)."""

from __future__ import annotations

import secrets
import time

__all__ = ["new_event_id"]

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def new_event_id() -> str:
    """48 bits of milliseconds, then 80 random ones, in Crockford's base 32."""
    value = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    return "evt_" + "".join(_ALPHABET[value >> shift & 31] for shift in range(125, -1, -5))
