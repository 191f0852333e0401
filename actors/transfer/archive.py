"""A device in one encrypted file: AES-256-GCM, its key from a passphrase (scrypt) or given.

    magic · length of the header (2 bytes) · header (JSON) · ciphertext with tag

The header (how the key is made, nonce) is authenticated with the ciphertext. The plaintext is
compressed: length of the facts (4 bytes), facts (JSON), the SQLite device store.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from cluster.domain.errors import Invalid

__all__ = ["ArchiveLock", "open_archive", "seal_archive"]

_MAGIC = b"WSGDEV1\n"
_LENGTH, _FACTS = struct.Struct(">H"), struct.Struct(">I")
#: scrypt: 64 MiB and about a quarter of a second. What a file asks for beyond that is refused.
_N, _R, _P = 1 << 16, 8, 1
#: Bytes: the store, and what is said beside it.
_MAX_PLAIN, _MAX_FACTS = 1 << 28, 1 << 20
#: Bytes of the decompressor's window, and at a time.
_WINDOW, _PART = 1 << 27, 1 << 20
_SHORTEST = 12


@dataclass(frozen=True, kw_only=True, slots=True)
class ArchiveLock:
    """What opens an archive: a passphrase, or a key."""

    passphrase: str = ""
    #: 32 bytes; empty with a passphrase.
    key: bytes = b""

    @classmethod
    def of(cls, passphrase: str | None, key: str | None) -> ArchiveLock:
        """`key`: base64 of 32 bytes. Raises `Invalid` unless there is one good secret."""
        if bool(passphrase) == bool(key):
            raise Invalid("give a passphrase or a key", field="passphrase")
        if key:
            try:
                raw = base64.b64decode(key, validate=True)
            except binascii.Error:
                raw = b""
            if len(raw) != 32:
                raise Invalid("key is not base64 of 32 bytes", field="key")
            return cls(key=raw)
        assert passphrase is not None  # noqa: S101 - one of the two is there
        if len(passphrase) < _SHORTEST:
            raise Invalid(f"passphrase is shorter than {_SHORTEST} characters", field="passphrase")
        return cls(passphrase=passphrase)

    def _aead(self, header: dict[str, Any]) -> AESGCM:
        if header["kdf"] == "none":
            if not self.key:
                raise Invalid("the archive is locked with a key, not a passphrase", field="key")
            return AESGCM(self.key)
        if not self.passphrase:
            raise Invalid("the archive is locked with a passphrase", field="passphrase")
        kdf = Scrypt(base64.b64decode(header["salt"]), 32, n=_N, r=_R, p=_P)
        return AESGCM(kdf.derive(self.passphrase.encode()))


def seal_archive(facts: dict[str, Any], image: bytes, lock: ArchiveLock) -> bytes:
    """`facts`: JSON-able, what the receiving gateway must know; `image`: the SQLite store."""
    nonce = os.urandom(12)
    header: dict[str, Any] = {"kdf": "none", "nonce": base64.b64encode(nonce).decode()}
    if not lock.key:
        salt = base64.b64encode(os.urandom(16)).decode()
        header |= {"kdf": "scrypt", "n": _N, "r": _R, "p": _P, "salt": salt}
    text = json.dumps(header).encode()
    prefix = _MAGIC + _LENGTH.pack(len(text)) + text
    encoded = json.dumps(facts).encode()
    plain = zstandard.ZstdCompressor().compress(_FACTS.pack(len(encoded)) + encoded + image)
    return prefix + lock._aead(header).encrypt(nonce, plain, prefix)


def open_archive(sealed: bytes, lock: ArchiveLock, image: Path) -> dict[str, Any]:
    """Write the store to `image`; returns the facts. Raises `Invalid` when it is no archive,
    altered, locked otherwise, or holds more than `_MAX_PLAIN` bytes: what comes out is counted,
    whatever the compressed stream says of its size."""
    start = len(_MAGIC) + _LENGTH.size
    if sealed[: len(_MAGIC)] != _MAGIC or len(sealed) < start:
        raise Invalid("that is no archive of a device", field="data")
    end = start + _LENGTH.unpack_from(sealed, len(_MAGIC))[0]
    try:
        header = json.loads(sealed[start:end])
        nonce = base64.b64decode(header["nonce"])
        if header["kdf"] == "scrypt" and (header["n"], header["r"], header["p"]) != (_N, _R, _P):
            raise Invalid("the archive's passphrase is hashed in an unknown way", field="data")
        plain = lock._aead(header).decrypt(nonce, sealed[end:], sealed[:end])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Invalid("the archive is damaged", field="data") from error
    except InvalidTag as error:
        raise Invalid(
            "the passphrase or key is another, or the archive was altered", field="passphrase"
        ) from error
    unpacker = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
    try:
        with unpacker.stream_reader(plain) as stream, image.open("xb") as file:
            length = _FACTS.unpack(_exactly(stream, _FACTS.size))[0]
            if length > _MAX_FACTS:
                raise Invalid("what the archive says of the session is too long", field="data")
            facts = _facts(_exactly(stream, length))
            left = _MAX_PLAIN
            while part := stream.read(min(_PART, left + 1)):
                left -= len(part)
                if left < 0:
                    raise Invalid("the archive holds more than a device's store", field="data")
                file.write(part)
    except (zstandard.ZstdError, struct.error) as error:
        raise Invalid("the archive is damaged", field="data") from error
    return facts


def _exactly(stream: zstandard.ZstdDecompressionReader, size: int) -> bytes:
    found = b""
    while len(found) < size and (part := stream.read(size - len(found))):
        found += part
    if len(found) < size:
        raise Invalid("the archive is damaged", field="data")
    return found


def _facts(text: bytes) -> dict[str, Any]:
    """The facts; as strict as what is posted."""

    def refuse(_: str) -> Any:
        raise ValueError

    def finite(digits: str) -> float:
        return float(digits) if math.isfinite(float(digits)) else refuse(digits)

    try:
        facts = json.loads(text.decode(), parse_constant=refuse, parse_float=finite)
        # Half of a surrogate pair cannot be stored.
        json.dumps(facts, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise Invalid("what the archive says of the session is no JSON", field="data") from error
    if not isinstance(facts, dict):
        raise Invalid("what the archive says of the session is no JSON object", field="data")
    return facts
