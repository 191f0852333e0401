"""The worker that reads strangers' files: refuses what is none, and can be ended."""

from __future__ import annotations

import asyncio
import os
import zlib
from pathlib import Path

import pytest

from cluster.domain.errors import Invalid
from cluster.media.prepare import Kind, Preparer
from cluster.settings import MediaSettings


@pytest.mark.parametrize("kind", ["image", "sticker", "audio", "video"])
async def test_garbage_is_refused_by_name(tmp_path: Path, kind: Kind) -> None:
    source = tmp_path / "garbage"
    source.write_bytes(b"\x89PNG\r\n\x1a\n" + b"not really" * 100)
    with pytest.raises(Invalid) as refused:
        await Preparer(MediaSettings()).prepare(kind, source, tmp_path / "out")
    assert refused.value.fields["field"] == "file"


async def test_a_picture_that_unpacks_to_gigabytes_is_refused(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return len(data).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")

    side = (60_000).to_bytes(4, "big")
    bomb = tmp_path / "bomb.png"
    bomb.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", side + side + b"\x08\x02\0\0\0")
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )
    with pytest.raises(Invalid, match="too many pixels"):
        await Preparer(MediaSettings()).prepare("image", bomb)


async def test_a_conversion_ends_with_its_time(tmp_path: Path) -> None:
    endless = tmp_path / "endless"
    os.mkfifo(endless)
    preparer = Preparer(MediaSettings(convert_timeout_seconds=1.0))
    with pytest.raises(Invalid, match="within 1 s"):
        await asyncio.wait_for(preparer.prepare("audio", endless), 10)
