"""Attachments: encrypted by the sender, stored blindly by the server (whatsmeow: upload.go)."""

from __future__ import annotations

import hashlib
import hmac
import os
from dataclasses import dataclass, field
from enum import Enum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sandbox.crypto import aes_cbc, hkdf

MAC_SIZE = 10


class MediaError(ValueError):
    """A downloaded attachment is not the one that was uploaded."""


class MediaType(Enum):
    """Kind of an attachment: the text its keys are derived with, and the last part of its URL."""

    IMAGE = (b"WhatsApp Image Keys", "image")
    VIDEO = (b"WhatsApp Video Keys", "video")
    AUDIO = (b"WhatsApp Audio Keys", "audio")
    DOCUMENT = (b"WhatsApp Document Keys", "document")
    HISTORY = (b"WhatsApp History Keys", "md-msg-hist")
    APP_STATE = (b"WhatsApp App State Keys", "md-app-state")
    STICKER_PACK = (b"WhatsApp Sticker Pack Keys", "sticker-pack")
    LINK_THUMBNAIL = (b"WhatsApp Link Thumbnail Keys", "thumbnail-link")

    def __init__(self, info: bytes, mms_type: str) -> None:
        #: HKDF info
        self.info = info
        #: the path is `/mms/<mms_type>/<token>`
        self.mms_type = mms_type


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaKeys:
    """What a media key (32 bytes) expands to."""

    iv: bytes = field(repr=False)
    cipher: bytes = field(repr=False)
    mac: bytes = field(repr=False)
    ref: bytes = field(repr=False)

    @classmethod
    def expand(cls, media_key: bytes, kind: MediaType) -> MediaKeys:
        """Derive the keys of one attachment."""
        data = hkdf.derive(media_key, 112, info=kind.info)
        return cls(iv=data[:16], cipher=data[16:48], mac=data[48:80], ref=data[80:])


@dataclass(frozen=True, slots=True, kw_only=True)
class EncryptedMedia:
    """An attachment ready for upload, and what its message must say about it."""

    #: what the server stores: ciphertext and the first 10 bytes of its MAC
    blob: bytes = field(repr=False)
    #: 32 bytes, goes into the message
    media_key: bytes = field(repr=False)
    #: SHA-256 of the plaintext
    file_sha256: bytes
    #: SHA-256 of the blob; in URL-safe base64 also the token in the upload's URL
    file_enc_sha256: bytes
    #: of the plaintext, in bytes
    file_length: int


def encrypt(plaintext: bytes, kind: MediaType, *, media_key: bytes | None = None) -> EncryptedMedia:
    """Encrypt an attachment under a new media key (or the one given)."""
    media_key = media_key or os.urandom(32)
    keys = MediaKeys.expand(media_key, kind)
    ciphertext = aes_cbc.encrypt(keys.cipher, keys.iv, plaintext)
    blob = ciphertext + _mac(keys, ciphertext)
    return EncryptedMedia(
        blob=blob,
        media_key=media_key,
        file_sha256=hashlib.sha256(plaintext).digest(),
        file_enc_sha256=hashlib.sha256(blob).digest(),
        file_length=len(plaintext),
    )


def decrypt(
    blob: bytes,
    kind: MediaType,
    *,
    media_key: bytes,
    file_enc_sha256: bytes | None = None,
    file_sha256: bytes | None = None,
) -> bytes:
    """The plaintext of a stored blob; hashes are checked when given.

    Raises:
        MediaError: too short, altered, or of another key or kind.
    """
    if len(blob) <= MAC_SIZE:
        raise MediaError("the file is too short")
    if file_enc_sha256 is not None and hashlib.sha256(blob).digest() != file_enc_sha256:
        raise MediaError("hash of the encrypted file differs")
    keys = MediaKeys.expand(media_key, kind)
    ciphertext, mac = blob[:-MAC_SIZE], blob[-MAC_SIZE:]
    if not hmac.compare_digest(_mac(keys, ciphertext), mac):
        raise MediaError("MAC of the file differs")
    try:
        plaintext = aes_cbc.decrypt(keys.cipher, keys.iv, ciphertext)
    except ValueError as error:
        raise MediaError("the file does not decrypt") from error
    if file_sha256 is not None and hashlib.sha256(plaintext).digest() != file_sha256:
        raise MediaError("hash of the decrypted file differs")
    return plaintext


def open_retry(data: bytes, iv: bytes, *, media_key: bytes, message_id: str) -> bytes:
    """What a device says of an attachment that it could not download, or what it is answered
    (whatsmeow: mediaretry.go). Raises `MediaError`."""
    try:
        return _retry_cipher(media_key).decrypt(iv, data, message_id.encode())
    except (InvalidTag, ValueError) as error:
        raise MediaError("the request does not decrypt") from error


def seal_retry(plaintext: bytes, *, media_key: bytes, message_id: str) -> tuple[bytes, bytes]:
    """(ciphertext, IV) of such an answer."""
    iv = os.urandom(12)
    return _retry_cipher(media_key).encrypt(iv, plaintext, message_id.encode()), iv


def _retry_cipher(media_key: bytes) -> AESGCM:
    return AESGCM(hkdf.derive(media_key, 32, info=b"WhatsApp Media Retry Notification"))


def _mac(keys: MediaKeys, ciphertext: bytes) -> bytes:
    return hmac.digest(keys.mac, keys.iv + ciphertext, hashlib.sha256)[:MAC_SIZE]
