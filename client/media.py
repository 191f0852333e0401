"""Attachments of a session: sent, received, converted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from client import references
from client.workshop import UPLOAD_SCHEME, Attachment
from cluster.domain.chat_id import parse_chat_id
from cluster.domain.content import (
    Edit,
    File,
    FileFacts,
    FileKind,
    FileOptions,
    Quoting,
    SentFile,
    Text,
)
from cluster.domain.errors import GatewayError, Invalid, NotFound, NotSupported
from cluster.domain.message import SentMessage
from cluster.domain.message_ref import MessageRef
from cluster.domain.verbs.media import Keep
from cluster.media.file_types import checked_mimetype, named, type_of
from cluster.media.links import MessageFile, file_of, object_key
from cluster.media.pages import first_link
from cluster.media.prepare import Kind
from cluster.media.spool import LocalFile, Spool
from cluster.stores import Stores
from cluster.stores.media import StoredFile

if TYPE_CHECKING:
    from client.session import SessionClient

__all__ = ["Media"]

#: Kind of a message -> how its file is prepared; documents are taken as they are.
_PREPARATIONS: dict[str, Kind] = {
    "image": "image",
    "video": "video",
    "audio": "audio",
    "sticker": "sticker",
}
_ENDINGS = {
    "video/mp4": ".mp4",
    "image/jpeg": ".jpeg",
    "image/webp": ".webp",
    "audio/ogg; codecs=opus": ".oga",
}
#: Expired objects that are collected at a time.
_SWEEP = 50
#: Seconds a received attachment may take from WhatsApp's servers.
_DOWNLOAD_SECONDS = 120.0


class Media:
    """Verbs of a session about files."""

    def __init__(self, session: SessionClient) -> None:
        self._session = session
        self._workshop = session.workshop

    async def send(
        self,
        chat_id: str,
        kind: FileKind,
        attachment: Attachment,
        *,
        caption: str = "",
        convert: bool = False,
        reply_to: MessageRef | None = None,
        mentions: tuple[str, ...] | list[str] = (),
        extra: FileOptions | None = None,
        **options: Any,
    ) -> SentMessage:
        """Send a file as `image`, `video`, `audio`, `document` or `sticker`.

        `convert`: make a voice note OGG/Opus, a video H.264/MP4 (images and stickers are converted
        whenever WhatsApp needs it). `extra` goes into the content (`voice`, `as_note`,
        `background`). `options`: those of `SessionClient.send`. The file is in the object store
        before the message is accepted, so whoever owns the session can finish the send.
        """
        target = parse_chat_id(chat_id)
        if target.server == "newsletter":
            raise NotSupported(
                "the library cannot send files to channels: it takes no media handle"
            )
        about: Quoting = {}
        if mentions:
            await self._session.chatting.add_mentions(about, target, mentions)
        stores, record = await self._session.working()
        if reply_to is not None:
            about["reply_to"] = reply_to.message_id
            about["quoted"] = await references.quotation(stores, record, reply_to)
        async with self._workshop.spool() as spool:
            file = await self._stored(stores, record.id, spool, kind, attachment, convert)
        # Typed dictionaries cannot be joined in the checker's eyes.
        content = cast(File, {"kind": kind, "file": file, **(extra or {}), **about})
        if caption:
            content["caption"] = caption
        return await self._session.send(target, content, **options)

    async def upload(
        self, parts: AsyncIterable[bytes], *, mimetype: str = "", filename: str = ""
    ) -> StoredFile:
        """Keep a file for later sends, as `Attachment(url="upload:<sha256>")`."""
        stores, record = await self._session.opened()
        async with self._workshop.spool() as spool:
            local = await spool.take("file", parts, mimetype=mimetype, filename=filename)
            if local.size == 0:
                raise Invalid("the file is empty", field="body")
            return await self._keep(stores, record.id, local)

    async def convert(self, kind: Kind, attachment: Attachment, spool: Spool) -> LocalFile:
        """A voice note (`audio`) or a video in WhatsApp's format, in the spool."""
        stores, record = await self._session.opened()
        local = await self._collected(stores, record.id, spool, attachment)
        target = spool.path("converted")
        facts = await self._workshop.preparer.prepare(kind, local.path, target)
        if not facts.get("converted"):
            return local
        return LocalFile(
            path=target, size=target.stat().st_size, sha256="", mimetype=facts["mimetype"]
        )

    async def file(self, ref: MessageRef) -> tuple[MessageFile, StoredFile]:
        """The file of a message, in the object store; a received one that is not there yet is
        fetched from WhatsApp first. Raises `NotFound`, `SessionNotWorking`, `WhatsAppRefused`."""
        stores, record = await self._session.opened()
        message = await references.known_message(stores, record, ref)
        file = file_of(message) if message is not None else None
        if file is None:
            # Also of one that was deleted for everyone.
            raise NotFound("there is no such file")
        key = object_key(record.id, file.sha256)
        size = await stores.objects.size(key)
        if size is None:
            if file.part is None:
                raise NotFound("the file's time in the store is over")
            if file.size > self._workshop.settings.max_bytes:
                raise NotFound("the file is larger than this gateway keeps files")
            limit = self._workshop.settings.max_bytes
            size = await self._session.request(
                Keep(part=file.part, kind=file.kind, key=key, max_bytes=limit),
                timeout=_DOWNLOAD_SECONDS,
            )
            kept = StoredFile(key=key, mimetype=file.mimetype, filename=file.filename, size=size)
            await stores.media.put(
                record.id, kept, seconds=self._workshop.settings.lifetime_seconds
            )
            await self.sweep()
        return file, StoredFile(key=key, mimetype=file.mimetype, filename=file.filename, size=size)

    async def read(
        self, file: StoredFile, *, offset: int = 0, length: int = 0
    ) -> AsyncIterator[bytes]:
        """A stored file's bytes, in parts."""
        stores, _ = await self._session.opened()
        async for part in stores.objects.stream(file.key, offset=offset, length=length):
            yield part

    async def sweep(self) -> int:
        """Collect what has expired, of any session; returns how many objects."""
        stores, _ = await self._session.opened()

        async def delete(keys: Sequence[str]) -> None:
            await stores.objects.delete(*keys)

        return len(await stores.media.collect(_SWEEP, delete))

    async def forget(self) -> None:
        """Remove everything that is stored for the session."""
        stores, record = await self._session.opened()
        await stores.objects.delete(*await stores.objects.list(object_key(record.id, "")))

    async def add_preview(
        self, content: Text | Edit, given: dict[str, Any] | None, *, large: bool
    ) -> None:
        """Put the preview of a text's first link into the content: `given` (`url`, `title`,
        `description`, `image` as an `Attachment`), or what the page says of itself."""
        image: Attachment | None = None
        if given is not None:
            image = given.get("image")
            content["preview"] = {
                "url": given["url"],
                "title": given["title"],
                "description": given["description"],
            }
        else:
            link = first_link(content["text"])
            if not link or not self._workshop.settings.link_previews:
                return
            page = await self._workshop.page(link)
            if page is None:
                return
            content["_preview"] = {
                "url": page.url,
                "title": page.title,
                "description": page.description,
            }
            image = Attachment(url=page.image) if page.image else None
        if image is not None:
            try:
                await self._add_picture(content, image, large=large)
            except GatewayError:
                # A page's picture that cannot be had is left out; a caller's own is his fault.
                if given is not None:
                    raise

    async def _add_picture(self, content: Text | Edit, image: Attachment, *, large: bool) -> None:
        stores, record = await self._session.opened()
        async with self._workshop.spool() as spool:
            local = await self._collected(stores, record.id, spool, image)
            facts = await self._workshop.preparer.prepare(
                "thumbnail", local.path, field="preview.image"
            )
            content["_thumbnail"] = facts["thumbnail"]
            if large:
                kept = await self._keep(stores, record.id, local)
                content["_preview_image"] = {
                    "_object": kept.key,
                    "_size": kept.size,
                    "width": facts["width"],
                    "height": facts["height"],
                }

    async def _stored(
        self,
        stores: Stores,
        session_id: int,
        spool: Spool,
        kind: FileKind,
        attachment: Attachment,
        convert: bool,
    ) -> SentFile:
        """Collect, look, convert and keep; returns the `file` of a content."""
        checked_mimetype(attachment.mimetype)
        local = await self._collected(stores, session_id, spool, attachment)
        source = attachment.url or f"sha256:{local.sha256}"
        mimetype, facts = "", FileFacts()
        if kind in _PREPARATIONS:
            wanted = convert or kind in {"image", "sticker"}
            target = spool.path("converted") if wanted else None
            found = await self._workshop.preparer.prepare(_PREPARATIONS[kind], local.path, target)
            mimetype = str(found.pop("mimetype", "") or "")
            converted = found.pop("converted", False)
            facts = cast(FileFacts, found)
            if converted and target is not None:
                local = await spool.take("final", _parts(target), filename=local.filename)
        filename = local.filename
        if not mimetype:
            # Of sound and films what they are is known; who sent them may be wrong.
            said = local.mimetype if kind == "document" else ""
            mimetype = await asyncio.to_thread(type_of, local.path, said, filename)
        if kind == "document":
            filename = named(filename, mimetype)
        elif filename and mimetype in _ENDINGS:
            filename = str(Path(filename).with_suffix(_ENDINGS[mimetype]))
        kept = await self._keep(
            stores,
            session_id,
            LocalFile(
                path=local.path,
                size=local.size,
                sha256=local.sha256,
                mimetype=mimetype,
                filename=filename,
            ),
        )
        return {
            "source": source,
            "mimetype": mimetype,
            "filename": filename,
            "_object": kept.key,
            "_size": kept.size,
            "_facts": facts,
        }

    async def _collected(
        self, stores: Stores, session_id: int, spool: Spool, attachment: Attachment
    ) -> LocalFile:
        uploads = object_key(session_id, "")
        local = await self._workshop.collect(attachment, spool, stores.objects, uploads)
        if not attachment.url.startswith(UPLOAD_SCHEME):
            return local
        known = await stores.media.get(session_id, object_key(session_id, local.sha256))
        return replace(
            local,
            mimetype=local.mimetype or (known.mimetype if known else ""),
            filename=local.filename or (known.filename if known else ""),
        )

    async def _keep(self, stores: Stores, session_id: int, local: LocalFile) -> StoredFile:
        kept = StoredFile(
            key=object_key(session_id, local.sha256),
            mimetype=local.mimetype,
            filename=local.filename,
            size=local.size,
        )
        # Noted first: an object that nobody knows of would stay for ever.
        await stores.media.put(session_id, kept, seconds=self._workshop.settings.lifetime_seconds)
        if await stores.objects.size(kept.key) != local.size:
            await stores.objects.put_file(
                kept.key, local.path, content_type=local.mimetype or "application/octet-stream"
            )
        await self.sweep()
        return kept


async def _parts(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            yield part
