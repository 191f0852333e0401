"""Encryption of checkpoints before they leave the process: AES-256-GCM, keys by id."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cluster.domain.errors import Invalid

__all__ = ["Binding", "SealError", "Sealer", "UnknownKey"]

_MAGIC = b"WSG1"
_NONCE = 12
_KEY = 32


class SealError(ValueError):
    """Sealed bytes that are not what they claim to be."""


class UnknownKey(SealError):
    """Sealed with a key that the configuration does not hold."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Binding:
    """What sealed bytes are part of. Authenticated: bytes moved elsewhere do not open."""

    session_id: int
    epoch: int
    seq: int
    kind: str
    base_seq: int

    def encode(self) -> bytes:
        return (
            f"checkpoint/{self.session_id}/{self.epoch}/{self.seq}/{self.kind}/{self.base_seq}"
        ).encode()


@dataclass(frozen=True, slots=True)
class Sealer:
    """Seals with the first key, opens with any."""

    key_id: str
    _keys: Mapping[str, AESGCM] = field(repr=False)

    @classmethod
    def from_setting(cls, text: str) -> Sealer:
        """Read `id:base64(32 bytes)` separated by commas. Raises `Invalid` without naming a key.

        The first key seals; all of them open, so a key rotates by putting a new one in front.
        """
        keys: dict[str, AESGCM] = {}
        for part in filter(None, (p.strip() for p in text.split(","))):
            key_id, _, encoded = part.partition(":")
            try:
                key = base64.b64decode(encoded, validate=True)
            except binascii.Error:
                key = b""
            if not 1 <= len(key_id.encode()) <= 64 or len(key) != _KEY or key_id in keys:
                raise Invalid(
                    f"CHECKPOINT_KEYS: entry {len(keys) + 1} is not `id:base64 of 32 bytes`, "
                    "or its id is there twice",
                    field="CHECKPOINT_KEYS",
                )
            keys[key_id] = AESGCM(key)
        if not keys:
            raise Invalid("CHECKPOINT_KEYS is empty", field="CHECKPOINT_KEYS")
        return cls(next(iter(keys)), keys)

    def seal(self, plaintext: bytes, binding: Binding) -> bytes:
        """Magic, length of the key id, key id, nonce, ciphertext with tag."""
        nonce = os.urandom(_NONCE)
        name = self.key_id.encode()
        header = _MAGIC + bytes([len(name)]) + name
        sealed = self._keys[self.key_id].encrypt(nonce, plaintext, header + binding.encode())
        return header + nonce + sealed

    def open(self, sealed: bytes, binding: Binding) -> bytes:
        """The plaintext. Raises `UnknownKey`, or `SealError` when altered or bound elsewhere."""
        start = len(_MAGIC) + 1
        if sealed[: len(_MAGIC)] != _MAGIC or len(sealed) < start:
            raise SealError("not a sealed checkpoint")
        end = start + sealed[len(_MAGIC)]
        try:
            key_id = sealed[start:end].decode()
        except UnicodeDecodeError as error:
            raise SealError("not a sealed checkpoint") from error
        key = self._keys.get(key_id)
        if key is None:
            raise UnknownKey(f"checkpoint key {key_id!r} is not in CHECKPOINT_KEYS")
        nonce, ciphertext = sealed[end : end + _NONCE], sealed[end + _NONCE :]
        try:
            return key.decrypt(nonce, ciphertext, sealed[:end] + binding.encode())
        except (InvalidTag, ValueError) as error:
            raise SealError("the checkpoint was altered or belongs elsewhere") from error
