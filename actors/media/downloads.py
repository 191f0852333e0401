"""Attachments of received messages: from WhatsApp's media servers into the object store.

Decrypted and checked part by part, so that memory stays flat (the library would hold the whole
file three times). See whatsmeow download.go.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from cryptography.hazmat.primitives import padding

from actors.media.encryption import MAC_SIZE, Keys, cipher_of, mms_type
from actors.media.http import CHUNK, ORIGIN, media_http
from cluster.domain.errors import Invalid, NotFound, Unavailable, WhatsAppRefused
from cluster.media.media_types import safe_media_type

if TYPE_CHECKING:
    from cluster.stores.objects import ObjectStore

__all__ = ["keep"]

#: The host that serves every attachment. The URL in a message is not followed: its sender wrote it.
_HOST = "mmg.whatsapp.net"
#: Of the URL's path and query what HTTP can carry.
_PATH = re.compile(r"/[!-~]{1,2048}")
#: Bytes that padding and MAC add at most.
_OVERHEAD = 16 + MAC_SIZE
_DIGITS = 18


async def keep(
    objects: ObjectStore,
    *,
    part: dict[str, Any],
    kind: str,
    key: str,
    proxy_url: str,
    max_bytes: int,
) -> int:
    """Download an attachment and store it under `key`; returns its size in bytes.

    `part`: the message's own part as JSON (`directPath`, `mediaKey`, `fileSHA256` …), which its
    sender wrote: no more than `max_bytes` are taken, whatever size it says. Raises `NotFound`
    when WhatsApp has it no more or it is larger, `WhatsAppRefused` when what it has is something
    else, `Unavailable`, `Invalid` for a part that cannot be read.
    """
    try:
        path = str(part["directPath"])
        keys = Keys.expand(base64.b64decode(part["mediaKey"], validate=True), kind)
        plain_hash = base64.b64decode(part["fileSHA256"], validate=True)
        coded_hash = base64.b64decode(part["fileEncSHA256"], validate=True)
    except (KeyError, ValueError, binascii.Error) as error:
        raise Invalid("the message does not say how to get its attachment") from error
    if not _PATH.fullmatch(path):
        raise Invalid("the message's attachment has no proper path")
    joint = "&" if "?" in path else "?"
    token = base64.urlsafe_b64encode(coded_hash).decode()
    url = f"https://{_HOST}{path}{joint}hash={token}&mms-type={mms_type(kind)}&__wa-mms="
    with tempfile.TemporaryDirectory(prefix="download-") as folder:
        file = Path(folder) / "file"
        try:
            async with (
                media_http(proxy_url) as client,
                client.stream("GET", url, headers={"Origin": ORIGIN}) as reply,
            ):
                if reply.status_code in {403, 404, 410}:
                    raise NotFound("WhatsApp does not have this attachment any more")
                if reply.status_code != 200:
                    raise Unavailable(
                        f"WhatsApp's media server answered {reply.status_code}", retry_after=5
                    )
                if int(_digits(reply.headers.get("Content-Length", ""))) > max_bytes + _OVERHEAD:
                    raise _too_large()
                # As they come: what the server says they are packed in would be unpacked first.
                parts = reply.aiter_raw(CHUNK)
                size = await _decrypt(parts, keys, file, plain_hash, max_bytes)
        except httpx.InvalidURL as error:
            raise Invalid("the message's attachment has no proper path") from error
        except httpx.HTTPError as error:
            raise Unavailable("WhatsApp's media servers are unreachable", retry_after=5) from error
        mimetype = safe_media_type(str(part.get("mimetype") or ""))
        await objects.put_file(key, file, content_type=mimetype)
    return size


async def _decrypt(
    parts: AsyncIterator[bytes], keys: Keys, file: Path, wanted: bytes, max_bytes: int
) -> int:
    """Write the plaintext; nothing of it counts before the MAC and the hash have been checked.
    Raises `NotFound` as soon as it is more than `max_bytes`."""
    decryptor = cipher_of(keys).decryptor()
    unpadder = padding.PKCS7(128).unpadder()
    mac, digest, size = hmac.new(keys.mac, keys.iv, hashlib.sha256), hashlib.sha256(), 0
    tail = b""
    with file.open("xb") as out:

        def write(plain: bytes) -> None:
            nonlocal size
            size += len(plain)
            if size > max_bytes:
                raise _too_large()
            digest.update(plain)
            out.write(plain)

        async for part in parts:
            data = tail + part
            ready, tail = data[:-MAC_SIZE], data[-MAC_SIZE:]
            mac.update(ready)
            write(unpadder.update(decryptor.update(ready)))
        try:
            write(unpadder.update(decryptor.finalize()) + unpadder.finalize())
        except ValueError as error:
            raise WhatsAppRefused("the attachment is damaged") from error
    if not hmac.compare_digest(mac.digest()[:MAC_SIZE], tail) or digest.digest() != wanted:
        raise WhatsAppRefused("the attachment is not the one that was sent")
    return size


def _digits(text: str) -> str:
    """A number that a server wrote; "0" for anything else."""
    return text if text.isascii() and text.isdigit() and len(text) <= _DIGITS else "0"


def _too_large() -> NotFound:
    return NotFound("the file is larger than this gateway keeps files")
