"""How WhatsApp encrypts attachments (whatsmeow: upload.go, download.go), part by part.

AES-256-CBC under keys that HKDF derives from the message's media key, and behind the ciphertext the
first ten bytes of its HMAC-SHA256.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import BinaryIO

from cryptography.hazmat.primitives import hashes, padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

__all__ = ["MAC_SIZE", "Encrypted", "Encryptor", "Keys", "cipher_of", "mms_type"]

#: bytes
MAC_SIZE = 10

#: Kind -> HKDF info, and how the media servers call it (whatsmeow download.go, mediaTypeToMMSType).
_KINDS = {
    "image": (b"WhatsApp Image Keys", "image"),
    "video": (b"WhatsApp Video Keys", "video"),
    "audio": (b"WhatsApp Audio Keys", "audio"),
    "document": (b"WhatsApp Document Keys", "document"),
    "link-thumbnail": (b"WhatsApp Link Thumbnail Keys", "thumbnail-link"),
}


def mms_type(kind: str) -> str:
    """What the media servers call a kind of attachment."""
    return _KINDS[kind][1]


@dataclass(frozen=True, slots=True)
class Keys:
    """What a media key expands to."""

    iv: bytes = field(repr=False)
    cipher: bytes = field(repr=False)
    mac: bytes = field(repr=False)

    @classmethod
    def expand(cls, media_key: bytes, kind: str) -> Keys:
        """`kind`: image, video, audio, document or link-thumbnail."""
        data = HKDF(hashes.SHA256(), 112, None, _KINDS[kind][0]).derive(media_key)
        return cls(data[:16], data[16:48], data[48:80])


def cipher_of(keys: Keys) -> Cipher[modes.CBC]:
    """AES-256-CBC with these keys."""
    return Cipher(algorithms.AES256(keys.cipher), modes.CBC(keys.iv))


@dataclass(frozen=True, slots=True, kw_only=True)
class Encrypted:
    """What a message says of its encrypted attachment."""

    #: SHA-256 of the plaintext
    file_sha256: bytes
    #: SHA-256 of what is uploaded
    file_enc_sha256: bytes
    #: bytes of the plaintext
    length: int
    #: bytes of what is uploaded
    coded_length: int


class Encryptor:
    """Takes a plaintext in parts and writes what is uploaded."""

    def __init__(self, keys: Keys, out: BinaryIO) -> None:
        self._out = out
        self._encryptor = cipher_of(keys).encryptor()
        self._padder = padding.PKCS7(128).padder()
        self._mac = hmac.new(keys.mac, keys.iv, hashlib.sha256)
        self._plain, self._coded = hashlib.sha256(), hashlib.sha256()
        self._length = self._coded_length = 0

    def update(self, plain: bytes) -> None:
        """The next part."""
        self._plain.update(plain)
        self._length += len(plain)
        self._write(self._encryptor.update(self._padder.update(plain)))

    def finish(self) -> Encrypted:
        """The last part was given."""
        self._write(self._encryptor.update(self._padder.finalize()) + self._encryptor.finalize())
        mac = self._mac.digest()[:MAC_SIZE]
        self._coded.update(mac)
        self._out.write(mac)
        self._coded_length += len(mac)
        return Encrypted(
            file_sha256=self._plain.digest(),
            file_enc_sha256=self._coded.digest(),
            length=self._length,
            coded_length=self._coded_length,
        )

    def _write(self, coded: bytes) -> None:
        self._mac.update(coded)
        self._coded.update(coded)
        self._coded_length += len(coded)
        self._out.write(coded)
