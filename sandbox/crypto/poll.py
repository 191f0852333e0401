"""Votes in polls: encrypted with the poll's secret (whatsmeow: msgsecret.go)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sandbox.crypto import hkdf

__all__ = ["VoteError", "chosen", "open_vote"]


class VoteError(ValueError):
    """The vote was not made with this poll's secret, by these people."""


def open_vote(
    secret: bytes, *, poll_id: str, author: str, voter: str, iv: bytes, payload: bytes
) -> bytes:
    """The serialised `PollVoteMessage`. `author` and `voter` are JIDs without device.

    Raises:
        VoteError: it does not decrypt.
    """
    info = f"{poll_id}{author}{voter}Poll Vote".encode()
    key = hkdf.derive(secret, 32, info=info)
    try:
        return AESGCM(key).decrypt(iv, payload, f"{poll_id}\x00{voter}".encode())
    except InvalidTag as error:
        raise VoteError("the vote does not decrypt") from error


def chosen(hashes: Iterable[bytes], options: Iterable[str]) -> list[str]:
    """Which options have these hashes."""
    wanted = set(hashes)
    return [o for o in options if hashlib.sha256(o.encode()).digest() in wanted]
