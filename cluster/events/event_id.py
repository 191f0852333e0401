"""Ids of events: `evt_` and a lower-case ULID, as WAHA's (https://github.com/ulid/spec)."""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from dataclasses import dataclass, field

__all__ = ["EventIds", "new_event_id"]

#: Bits behind the time.
_RANDOM = 80
#: From RFC 4648's base 32 to Crockford's, lower case.
_CROCKFORD = bytes.maketrans(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", b"0123456789abcdefghjkmnpqrstvwxyz"
)
#: Of 128 bits, behind two zero ones.
_LETTERS = 26


def new_event_id() -> str:
    """48 bits of milliseconds, then 80 random ones, in Crockford's base 32."""
    return _event_id(secrets.randbits(_RANDOM))


def _event_id(low: int) -> str:
    value = (time.time_ns() // 1_000_000) << _RANDOM | low
    # 17 bytes: two zero bits, the value, and zero bits that are cut off.
    encoded = base64.b32encode((value << 6).to_bytes(17)).translate(_CROCKFORD)
    return "evt_" + encoded[:_LETTERS].decode()


@dataclass(slots=True)
class EventIds:
    """Ids of the events that one entry of the spool becomes. Instead of random bits they end in a
    digest of it, so that an event that was recorded before is found again."""

    #: What the library said; empty: an event of our own, that is nowhere but in memory.
    entry: bytes = b""
    #: An earlier owner may have recorded it.
    recorded_before: bool = False
    _attempted: dict[str, str] = field(default_factory=dict)
    #: Of the entry, once: it may be long, and have as many parts.
    _digest: bytes = b""

    def of(self, part: str) -> tuple[str, bool]:
        """The id of the entry's event `part`, and whether it may be recorded by now: because this
        was asked before, so that a commit whose answer was lost counts."""
        known = self._attempted.get(part)
        if known is not None:
            return known, True
        if not self.entry:
            made = new_event_id()
        else:
            self._digest = self._digest or hashlib.sha256(self.entry).digest()
            digest = hashlib.sha256(self._digest + part.encode(errors="replace")).digest()
            made = _event_id(int.from_bytes(digest[: _RANDOM // 8]))
        self._attempted[part] = made
        return made, self.recorded_before
