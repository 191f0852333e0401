"""What works on attachments in one process: fetching, looking, converting."""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from urllib.parse import urljoin

import structlog

from cluster.domain.errors import GatewayError, Invalid
from cluster.media.fetch import Fetcher
from cluster.media.pages import PagePreview
from cluster.media.prepare import Preparer
from cluster.media.spool import LocalFile, Spool
from cluster.settings import MediaSettings
from cluster.stores.objects import ObjectStore

__all__ = ["UPLOAD_SCHEME", "Attachment", "Workshop"]

log = structlog.get_logger(__name__)

#: URLs of files that the caller uploaded to the gateway before: `upload:<sha256>`.
UPLOAD_SCHEME = "upload:"
_PAGE_BYTES = 1 << 20
_PREVIEW_SECONDS = 6.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Attachment:
    """A file as a caller gives it: by `url` (http, https, or `upload:<sha256>`), as base64, as
    bytes, or as a file of this machine that is taken away."""

    url: str = ""
    base64: str = ""
    data: bytes = b""
    local: LocalFile | None = None
    mimetype: str = ""
    filename: str = ""


class Workshop:
    """One per process and event loop."""

    def __init__(self, settings: MediaSettings) -> None:
        self.settings = settings
        self.fetcher = Fetcher(settings)
        self.preparer = Preparer(settings)

    def spool(self) -> Spool:
        """A place for one request's files."""
        return Spool(self.settings.max_bytes)

    async def collect(
        self, given: Attachment, spool: Spool, objects: ObjectStore, uploads: str
    ) -> LocalFile:
        """Bring a caller's file into a spool. `uploads`: where this session's uploads are. Raises
        `Invalid`, `BodyTooLarge`, `NotFound` for an upload that is not there."""
        if given.url.startswith(UPLOAD_SCHEME):
            digest = given.url.removeprefix(UPLOAD_SCHEME)
            if len(digest) != 64 or not digest.isalnum():
                raise Invalid("an upload is named upload:<sha256>", field="file.url")
            found = await spool.take("file", objects.stream(f"{uploads}{digest}"))
        elif given.url:
            found = await self.fetcher.fetch(given.url, spool)
        elif given.local is not None:
            path = given.local.path.replace(spool.path("file"))
            found = replace(given.local, path=path)
        else:
            data = given.data or _decoded(given.base64)
            found = await spool.take("file", _once(data))
        if found.size == 0:
            raise Invalid("the file is empty", field="file")
        return replace(
            found,
            mimetype=given.mimetype or found.mimetype,
            filename=given.filename or found.filename,
        )

    async def page(self, url: str) -> PagePreview | None:
        """What a page says of itself; None when it says nothing or cannot be had."""
        async with Spool(_PAGE_BYTES) as spool:
            try:
                file = await self.fetcher.fetch(url, spool, seconds=_PREVIEW_SECONDS)
                if file.mimetype not in {"text/html", "application/xhtml+xml"}:
                    return None
                facts = await self.preparer.prepare("page", file.path, seconds=_PREVIEW_SECONDS)
            except GatewayError as error:
                # The page is a stranger's: whatever is wrong with it, the text is sent without.
                log.info("media.no_preview", error=error.detail)
                return None
        try:
            image = urljoin(url, facts["image"]) if facts["image"] else ""
        except ValueError:
            image = ""
        return PagePreview(
            url=url, title=facts["title"], description=facts["description"], image=image
        )


def _decoded(text: str) -> bytes:
    if text.startswith("data:"):
        text = text.partition(",")[2]
    # Unpadded and URL-safe forms are read, too, as Node's `Buffer.from` does.
    bare = "".join(text.split()).replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Invalid("file.data is not base64", field="file.data") from error


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
