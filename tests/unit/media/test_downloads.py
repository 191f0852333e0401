"""Received attachments: what is not the file that was sent is not kept."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actors.media.downloads import _decrypt
from actors.media.encryption import Keys
from cluster.domain.errors import WhatsAppRefused
from sandbox.crypto.media import EncryptedMedia, MediaType, encrypt


async def _parts(blob: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(blob), size):
        yield blob[start : start + size]


def _keys(made: EncryptedMedia) -> Keys:
    return Keys.expand(made.media_key, "video")


@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, 100_003])
@pytest.mark.parametrize("size", [1, 7, 4096])
async def test_any_length_in_any_parts(tmp_path: Path, length: int, size: int) -> None:
    if length > 1000 and size < 100:
        size = 1000
    plain = os.urandom(length)
    made = encrypt(plain, MediaType.VIDEO)
    file = tmp_path / "file"
    assert (
        await _decrypt(_parts(made.blob, size), _keys(made), file, made.file_sha256, 1 << 20)
        == length
    )
    assert file.read_bytes() == plain


async def test_an_altered_file_is_refused(tmp_path: Path) -> None:
    made = encrypt(os.urandom(1000), MediaType.VIDEO)
    for place in (0, 500, len(made.blob) - 20, len(made.blob) - 1):
        blob = bytearray(made.blob)
        blob[place] ^= 1
        with pytest.raises(WhatsAppRefused):
            await _decrypt(
                _parts(bytes(blob), 64), _keys(made), tmp_path / f"{place}", made.file_sha256, 1000
            )
    with pytest.raises(WhatsAppRefused):
        await _decrypt(_parts(made.blob, 64), _keys(made), tmp_path / "other", b"\0" * 32, 1000)
    with pytest.raises(WhatsAppRefused):
        await _decrypt(
            _parts(made.blob[:40], 64), _keys(made), tmp_path / "cut", made.file_sha256, 1000
        )
