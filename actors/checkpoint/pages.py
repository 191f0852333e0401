"""A SQLite file as pages: which of them changed, and how to put them back. Pure.

A base is the whole file; a delta is the pages that differ from the image before it. Both carry
the SHA-256 of the file they result in, so that a chain proves itself when it is put together.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

import zstandard

__all__ = ["DamagedCheckpoint", "Image", "apply", "base", "delta"]

_HEADER = struct.Struct(">4sII32s")
_NUMBER = struct.Struct(">I")
_BASE, _DELTA = b"BASE", b"DELT"
_SQLITE = b"SQLite format 3\0"
_LEVEL = 3
#: A device store is megabytes; anything near this is damage or an attack.
_MAX_IMAGE = 1 << 30


class DamagedCheckpoint(ValueError):
    """The bytes do not make up the device store they promise."""


@dataclass(frozen=True, slots=True)
class Image:
    """What must be known of a file to find which pages the next one changes."""

    page_size: int
    #: 16 bytes of SHA-256 per page
    pages: tuple[bytes, ...]
    #: SHA-256 of the whole
    digest: bytes

    @classmethod
    def of(cls, data: bytes) -> Image:
        """Raises `DamagedCheckpoint` unless `data` is a SQLite file of whole pages."""
        size = page_size(data)
        return cls(
            size,
            tuple(
                hashlib.sha256(data[at : at + size]).digest()[:16]
                for at in range(0, len(data), size)
            ),
            hashlib.sha256(data).digest(),
        )


def page_size(data: bytes) -> int:
    """Bytes of a page (SQLite file format, offset 16: 1 stands for 65536)."""
    if data[:16] != _SQLITE or len(data) < 512:
        raise DamagedCheckpoint("not a SQLite file")
    size = int.from_bytes(data[16:18], "big")
    size = 65536 if size == 1 else size
    if size < 512 or size & (size - 1) or len(data) % size:
        raise DamagedCheckpoint("not a SQLite file of whole pages")
    return size


def base(data: bytes, image: Image) -> bytes:
    """The whole file, compressed."""
    head = _HEADER.pack(_BASE, image.page_size, len(image.pages), image.digest)
    return head + zstandard.compress(data, _LEVEL)


def delta(before: Image, data: bytes, after: Image) -> bytes | None:
    """The pages of `data`, whose image is `after`, that are not in `before`, compressed; None when
    a base is needed."""
    if before.page_size != after.page_size:
        return None
    size = after.page_size
    parts: list[bytes] = []
    for number, digest in enumerate(after.pages):
        if number >= len(before.pages) or before.pages[number] != digest:
            parts += (_NUMBER.pack(number), data[number * size : (number + 1) * size])
    head = _HEADER.pack(_DELTA, size, len(after.pages), after.digest)
    return head + zstandard.compress(b"".join(parts), _LEVEL)


def apply(image: bytes, piece: bytes) -> bytes:
    """The file that results from `piece` on top of `image` (ignored by a base).

    Raises `DamagedCheckpoint` when the result is not the file that was checkpointed.
    """
    if len(piece) < _HEADER.size:
        raise DamagedCheckpoint("too short")
    tag, size, count, digest = _HEADER.unpack_from(piece)
    if size * count > _MAX_IMAGE:
        raise DamagedCheckpoint("too large")
    try:
        body = zstandard.ZstdDecompressor().decompress(
            piece[_HEADER.size :], max_output_size=_MAX_IMAGE
        )
    except zstandard.ZstdError as error:
        raise DamagedCheckpoint("does not decompress") from error
    if tag == _BASE:
        result = body
    elif tag == _DELTA:
        result = _patched(image, body, size, count)
    else:
        raise DamagedCheckpoint("neither base nor delta")
    if hashlib.sha256(result).digest() != digest:
        raise DamagedCheckpoint("the result is not the store that was checkpointed")
    return result


def _patched(image: bytes, body: bytes, size: int, count: int) -> bytes:
    result = bytearray(image[: size * count].ljust(size * count, b"\0"))
    step = _NUMBER.size + size
    if len(body) % step:
        raise DamagedCheckpoint("a torn delta")
    for at in range(0, len(body), step):
        (number,) = _NUMBER.unpack_from(body, at)
        if number >= count:
            raise DamagedCheckpoint("a page beyond the end")
        result[number * size : (number + 1) * size] = body[at + _NUMBER.size : at + step]
    return bytes(result)
