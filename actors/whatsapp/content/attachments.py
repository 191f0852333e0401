"""Images, videos, voice notes, files and stickers: uploaded first, then named in a message."""

from __future__ import annotations

import base64
import time
from collections.abc import Awaitable, Callable
from typing import Any

from neonize.proto.Neonize_pb2 import UploadResponse
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import (
    AudioMessage,
    DocumentMessage,
    FutureProofMessage,
    ImageMessage,
    Message,
    StickerMessage,
    VideoMessage,
)
from neonize.utils.enum import MediaType

from actors.whatsapp.content.composer import Composer
from actors.whatsapp.content.context import with_context
from cluster.domain.content import File, FileFacts, Text

__all__ = ["BUILDERS", "add_preview_image"]


async def _image(content: File, composer: Composer) -> Message:
    part = ImageMessage(caption=str(content.get("caption") or ""))
    await _upload(part, content, composer, MediaType.MediaImage)
    _picture(part, content)
    return Message(imageMessage=with_context(part, content))


async def _video(content: File, composer: Composer) -> Message:
    """`as_note`: the round form."""
    part = VideoMessage(caption=str(content.get("caption") or ""))
    await _upload(part, content, composer, MediaType.MediaVideo)
    _picture(part, content)
    part.seconds = _seconds(content)
    with_context(part, content)
    return Message(ptvMessage=part) if content.get("as_note") else Message(videoMessage=part)


async def _audio(content: File, composer: Composer) -> Message:
    """`voice`: as a voice note, with its waveform."""
    part = AudioMessage(PTT=bool(content.get("voice")))
    await _upload(part, content, composer, MediaType.MediaAudio)
    part.seconds = _seconds(content)
    if waveform := _facts(content).get("waveform"):
        part.waveform = base64.b64decode(waveform)
    if background := content.get("background"):
        part.backgroundArgb = int(background)
    return Message(audioMessage=with_context(part, content))


async def _document(content: File, composer: Composer) -> Message:
    file = content["file"]
    name = str(file.get("filename") or "file")
    part = DocumentMessage(fileName=name, title=name, caption=str(content.get("caption") or ""))
    await _upload(part, content, composer, MediaType.MediaDocument)
    if thumbnail := _facts(content).get("thumbnail"):
        part.JPEGThumbnail = base64.b64decode(thumbnail)
    message = Message(documentMessage=with_context(part, content))
    if part.caption:
        # Clients show the caption of a document only in this wrapping.
        return Message(documentWithCaptionMessage=FutureProofMessage(message=message))
    return message


async def _sticker(content: File, composer: Composer) -> Message:
    part = StickerMessage(isAnimated=bool(_facts(content).get("animated")))
    await _upload(part, content, composer, MediaType.MediaImage)
    part.width, part.height = _size(content)
    return Message(stickerMessage=with_context(part, content))


async def add_preview_image(message: Message, content: Text, composer: Composer) -> None:
    """The large picture of a link preview, when the content has one (`_preview_image`)."""
    file = content.get("_preview_image")
    if not file:
        return
    done = await composer.upload(file, MediaType.MediaLinkThumbnail)
    part = message.extendedTextMessage
    part.thumbnailDirectPath = done.DirectPath
    part.thumbnailSHA256 = done.FileSHA256
    part.thumbnailEncSHA256 = done.FileEncSHA256
    part.mediaKey, part.mediaKeyTimestamp = done.MediaKey, int(time.time())
    part.thumbnailWidth = int(file.get("width") or 0)
    part.thumbnailHeight = int(file.get("height") or 0)


async def _upload(part: Any, content: File, composer: Composer, kind: MediaType) -> UploadResponse:
    file = content["file"]
    done = await composer.upload(file, kind)
    part.URL, part.directPath, part.mediaKey = done.url, done.DirectPath, done.MediaKey
    part.fileSHA256, part.fileEncSHA256 = done.FileSHA256, done.FileEncSHA256
    part.fileLength, part.mediaKeyTimestamp = done.FileLength, int(time.time())
    part.mimetype = str(file["mimetype"])
    return done


def _facts(content: File) -> FileFacts:
    """What was found out about the file: see `cluster.media.prepare`."""
    return content["file"].get("_facts") or {}


def _picture(part: Any, content: File) -> None:
    part.width, part.height = _size(content)
    if thumbnail := _facts(content).get("thumbnail"):
        part.JPEGThumbnail = base64.b64decode(thumbnail)


def _size(content: File) -> tuple[int, int]:
    facts = _facts(content)
    return int(facts.get("width") or 0), int(facts.get("height") or 0)


def _seconds(content: File) -> int:
    return max(0, round(float(_facts(content).get("seconds") or 0)))


BUILDERS: dict[str, Callable[[Any, Composer], Awaitable[Message]]] = {
    "image": _image,
    "video": _video,
    "audio": _audio,
    "document": _document,
    "sticker": _sticker,
}
