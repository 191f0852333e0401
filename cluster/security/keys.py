"""API keys: how they look, and what is kept of them.

A key made here has 256 random bits: nobody finds it by trying, so one round of SHA-256 keeps it as
well as a slow hash would, and lets it be found by an index.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets

__all__ = ["ConfiguredKey", "digest_of", "hint_of", "is_issued", "new_key", "new_key_id"]

_ISSUED = re.compile(r"key_[A-Za-z0-9_-]{43}\Z")


class ConfiguredKey:
    """The admin key of the settings: plain, or `sha512:<hex>` as WAHA accepts it."""

    def __init__(self, configured: str) -> None:
        kind, _, digest = configured.partition(":")
        self._digest = (
            digest.lower() if kind == "sha512" and digest else _sha512(configured.encode())
        )
        self._set = bool(configured)

    def admits(self, given: str | None) -> bool:
        """Constant time in the key. Without a configured key nobody is admitted."""
        if not self._set or not given:
            return False
        return hmac.compare_digest(_sha512(given.encode()).encode(), self._digest.encode())


def new_key() -> str:
    """A new secret."""
    return f"key_{secrets.token_urlsafe(32)}"


def new_key_id() -> str:
    """What a key is called; no secret."""
    return f"key_id_{secrets.token_hex(13)}"


def is_issued(text: str) -> bool:
    """Whether `text` looks like `new_key()`: anything else is refused without asking a store."""
    return _ISSUED.match(text) is not None


def digest_of(key: str) -> str:
    """What is kept of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


def hint_of(key: str) -> str:
    """Enough of a key to distinguish it from others, too little to guess it."""
    return f"{key[:8]}…"


def _sha512(value: bytes) -> str:
    return hashlib.sha512(value).hexdigest()
