"""HKDF-SHA256, the one key derivation of the protocol (whatsmeow: util/hkdfutil)."""

from __future__ import annotations

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def derive(secret: bytes, size: int, *, salt: bytes | None = None, info: bytes = b"") -> bytes:
    """Derive `size` bytes from a secret."""
    return HKDF(hashes.SHA256(), size, salt, info).derive(secret)
