"""Votes in polls, and answers to events: encrypted with the secret of what is answered (whatsmeow:
msgsecret.go)."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sandbox.crypto import hkdf

__all__ = ["VoteError", "chosen", "hashes", "open_vote", "seal_vote"]


class VoteError(ValueError):
    """The vote was not made with this poll's secret, by these people."""


def open_vote(
    secret: bytes, *, poll_id: str, author: str, voter: str, iv: bytes, payload: bytes
) -> bytes:
    """The serialised `PollVoteMessage`. `author` and `voter` are JIDs without device.

    Raises:
        VoteError: it does not decrypt.
    """
    cipher, bound = _cipher(secret, poll_id, author, voter)
    try:
        return cipher.decrypt(iv, payload, bound)
    except InvalidTag as error:
        raise VoteError("the vote does not decrypt") from error


def seal_vote(
    secret: bytes, plain: bytes, *, poll_id: str, author: str, voter: str, use: str = "Poll Vote"
) -> tuple[bytes, bytes]:
    """(iv, payload) of a serialised `PollVoteMessage`, or of what else `use` names."""
    cipher, bound = _cipher(secret, poll_id, author, voter, use)
    iv = os.urandom(12)
    return iv, cipher.encrypt(iv, plain, bound)


def hashes(options: Iterable[str]) -> list[bytes]:
    """What a vote says of the options chosen."""
    return [hashlib.sha256(option.encode()).digest() for option in options]


def _cipher(
    secret: bytes, poll_id: str, author: str, voter: str, use: str = "Poll Vote"
) -> tuple[AESGCM, bytes]:
    info = f"{poll_id}{author}{voter}{use}".encode()
    return AESGCM(hkdf.derive(secret, 32, info=info)), f"{poll_id}\x00{voter}".encode()


def chosen(hashes: Iterable[bytes], options: Iterable[str]) -> list[str]:
    """Which options have these hashes."""
    wanted = set(hashes)
    return [o for o in options if hashlib.sha256(o.encode()).digest() in wanted]
