"""Files of the object store, brought to WhatsApp's media servers part by part.

The library would hold a whole file three times in memory. Here it is encrypted as it comes from the
object store into a file of the node (its hash is part of the URL, so it has to be known first), and
streams from there.
"""

from __future__ import annotations

import asyncio
import base64
import os
import tempfile
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import httpx
from neonize.proto.Neonize_pb2 import UploadResponse
from neonize.utils.enum import MediaType

from actors.media.encryption import Encrypted, Encryptor, Keys, mms_type
from actors.media.http import CHUNK, ORIGIN, media_http
from actors.media.media_host import MediaHost
from cluster.domain.errors import Unavailable, WhatsAppRefused

if TYPE_CHECKING:
    from cluster.stores.objects import ObjectStore

__all__ = ["Uploads"]

#: Seconds for which an upload is good for further messages with the same file. WhatsApp keeps
#: attachments for weeks.
_GOOD_FOR = 6 * 3600.0
_REMEMBERED = 256
_AT_ONCE = 4
_KINDS = {
    MediaType.MediaImage: "image",
    MediaType.MediaVideo: "video",
    MediaType.MediaAudio: "audio",
    MediaType.MediaDocument: "document",
    MediaType.MediaLinkThumbnail: "link-thumbnail",
}
#: Answers that mean "not with this token".
_TOKEN_REFUSED = {401, 403}

#: Where to upload; `True`: the place given before was refused.
AskHost = Callable[[bool], Awaitable[MediaHost]]


@dataclass(frozen=True, slots=True)
class _Done:
    at: float
    response: UploadResponse


class Uploads:
    """One per process. The same file in many messages is uploaded once."""

    def __init__(self, objects: ObjectStore) -> None:
        self.objects = objects
        self._done: OrderedDict[tuple[str, str], _Done] = OrderedDict()
        self._free = asyncio.Semaphore(_AT_ONCE)

    async def upload(
        self, file: Mapping[str, Any], kind: MediaType, *, ask_host: AskHost, proxy_url: str
    ) -> UploadResponse:
        """Upload the stored object `file["_object"]`, unless that was done lately.

        Raises `NotFound` when it is not stored any more, `Unavailable`, `WhatsAppRefused`, and what
        `ask_host` raises.
        """
        name = (str(file["_object"]), _KINDS[kind])
        known = self._done.get(name)
        if known is not None and time.monotonic() - known.at < _GOOD_FOR:
            return known.response
        async with self._free:
            response = await self._upload(*name, ask_host, proxy_url)
        self._done[name] = _Done(time.monotonic(), response)
        while len(self._done) > _REMEMBERED:
            self._done.popitem(last=False)
        return response

    async def _upload(
        self, key: str, kind: str, ask_host: AskHost, proxy_url: str
    ) -> UploadResponse:
        media_key = os.urandom(32)
        with tempfile.TemporaryDirectory(prefix="upload-") as folder:
            path = Path(folder) / "file"
            with path.open("xb") as out:
                encryptor = Encryptor(Keys.expand(media_key, kind), out)
                await self.objects.pour(key, encryptor.update)
                made = encryptor.finish()
            answer = await _post(path, made, kind, await ask_host(False), proxy_url)
            if answer.status_code in _TOKEN_REFUSED:
                answer = await _post(path, made, kind, await ask_host(True), proxy_url)
        url, direct_path = _place(answer)
        return UploadResponse(
            url=url,
            DirectPath=direct_path,
            MediaKey=media_key,
            FileSHA256=made.file_sha256,
            FileEncSHA256=made.file_enc_sha256,
            FileLength=made.length,
        )


async def _post(
    path: Path, made: Encrypted, kind: str, host: MediaHost, proxy_url: str
) -> httpx.Response:
    token = base64.urlsafe_b64encode(made.file_enc_sha256).decode()
    query = urlencode({"auth": host.auth, "token": token})
    try:
        async with media_http(proxy_url) as client:
            return await client.post(
                f"https://{host.name}/mms/{mms_type(kind)}/{token}?{query}",
                content=_parts(path),
                headers={
                    "Content-Length": str(made.coded_length),
                    "Origin": ORIGIN,
                    "Referer": f"{ORIGIN}/",
                },
            )
    except httpx.HTTPError as error:
        raise Unavailable("WhatsApp's media servers are unreachable", retry_after=5) from error


def _place(answer: httpx.Response) -> tuple[str, str]:
    """URL and direct path of what was uploaded."""
    code = answer.status_code
    if code in _TOKEN_REFUSED or code == 429 or code >= 500:
        raise Unavailable(f"WhatsApp's media server answered {code}", retry_after=5)
    try:
        answered = answer.json() if code == 200 else {}
        return str(answered["url"]), str(answered["direct_path"])
    except (ValueError, KeyError, TypeError) as error:
        raise WhatsAppRefused(f"WhatsApp's media server did not take the file ({code})") from error


async def _parts(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while part := file.read(CHUNK):
            yield part
