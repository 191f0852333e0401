"""Attachments of received messages: from WhatsApp's media servers into the object store.

Decrypted and checked part by part, so that memory stays flat (the library would hold the whole
file three times). Formats: whatsmeow download.go and upload.go; the keys are derived by HKDF from
the message's media key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import logging
import ssl
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from cryptography.hazmat.primitives import hashes, padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from cluster.domain.errors import Invalid, NotFound, Unavailable, WhatsAppRefused
from cluster.stores.objects import ObjectStore

__all__ = ["Keys", "keep"]

# It logs every URL: who reads the logs need not know which attachments people get.
logging.getLogger("httpx").setLevel(logging.WARNING)

#: The host that serves every attachment. The URL in a message is not followed: its sender wrote it.
_HOST = "mmg.whatsapp.net"
_INFO = {
    "image": (b"WhatsApp Image Keys", "image"),
    "video": (b"WhatsApp Video Keys", "video"),
    "audio": (b"WhatsApp Audio Keys", "audio"),
    "document": (b"WhatsApp Document Keys", "document"),
}
_MAC = 10
_TIMEOUT = httpx.Timeout(30.0, connect=10.0)


@dataclass(frozen=True, slots=True)
class Keys:
    """What a media key expands to."""

    iv: bytes
    cipher: bytes
    mac: bytes

    @classmethod
    def expand(cls, media_key: bytes, kind: str) -> Keys:
        """`kind`: image, video, audio or document."""
        info = _INFO[kind][0]
        data = HKDF(hashes.SHA256(), 112, None, info).derive(media_key)
        return cls(data[:16], data[16:48], data[48:80])


async def keep(
    objects: ObjectStore, *, part: dict[str, Any], kind: str, key: str, proxy_url: str
) -> int:
    """Download an attachment and store it under `key`; returns its size in bytes.

    `part`: the message's own part as JSON (`directPath`, `mediaKey`, `fileSHA256` …). Raises
    `NotFound` when WhatsApp has it no more, `WhatsAppRefused` when what it has is something else,
    `Unavailable`, `Invalid` for a part that cannot be read.
    """
    try:
        path = str(part["directPath"])
        keys = Keys.expand(base64.b64decode(part["mediaKey"], validate=True), kind)
        plain_hash = base64.b64decode(part["fileSHA256"], validate=True)
        coded_hash = base64.b64decode(part["fileEncSHA256"], validate=True)
    except (KeyError, ValueError, binascii.Error) as error:
        raise Invalid("the message does not tell how to get its attachment") from error
    if not path.startswith("/"):
        raise Invalid("the message's attachment has no proper path")
    joint = "&" if "?" in path else "?"
    token = base64.urlsafe_b64encode(coded_hash).decode()
    url = f"https://{_HOST}{path}{joint}hash={token}&mms-type={_INFO[kind][1]}&__wa-mms="
    with tempfile.TemporaryDirectory(prefix="download-") as folder:
        file = Path(folder) / "file"
        try:
            async with (
                httpx.AsyncClient(
                    proxy=proxy_url or None,
                    verify=ssl.create_default_context(),
                    timeout=_TIMEOUT,
                    trust_env=False,
                ) as client,
                client.stream("GET", url, headers={"Origin": "https://web.whatsapp.com"}) as reply,
            ):
                if reply.status_code in {403, 404, 410}:
                    raise NotFound("WhatsApp does not have this attachment any more")
                if reply.status_code != 200:
                    raise Unavailable(
                        f"WhatsApp's media server answered {reply.status_code}", retry_after=5
                    )
                size = await _decrypt(reply.aiter_bytes(256 << 10), keys, file, plain_hash)
        except httpx.HTTPError as error:
            raise Unavailable("WhatsApp's media servers are away", retry_after=5) from error
        mimetype = str(part.get("mimetype") or "application/octet-stream")
        await objects.put_file(key, file, content_type=mimetype)
    return size


async def _decrypt(parts: AsyncIterator[bytes], keys: Keys, file: Path, wanted: bytes) -> int:
    """Write the plaintext; nothing of it counts before the MAC and the hash have been checked."""
    decryptor = Cipher(algorithms.AES256(keys.cipher), modes.CBC(keys.iv)).decryptor()
    unpadder = padding.PKCS7(128).unpadder()
    mac, digest, size = hmac.new(keys.mac, keys.iv, hashlib.sha256), hashlib.sha256(), 0
    tail = b""
    with file.open("xb") as out:

        def write(plain: bytes) -> None:
            nonlocal size
            size += len(plain)
            digest.update(plain)
            out.write(plain)

        async for part in parts:
            data = tail + part
            ready, tail = data[:-_MAC], data[-_MAC:]
            mac.update(ready)
            write(unpadder.update(decryptor.update(ready)))
        try:
            write(unpadder.update(decryptor.finalize()) + unpadder.finalize())
        except ValueError as error:
            raise WhatsAppRefused("the attachment is damaged") from error
    if not hmac.compare_digest(mac.digest()[:_MAC], tail) or digest.digest() != wanted:
        raise WhatsAppRefused("the attachment is not the one that was sent")
    return size
