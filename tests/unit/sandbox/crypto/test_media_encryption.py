"""Attachments come back unaltered or not at all."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.crypto.media import MediaError, MediaType, decrypt, encrypt


@given(st.binary(max_size=200), st.sampled_from(MediaType))
def test_an_attachment_survives(plaintext: bytes, kind: MediaType) -> None:
    media = encrypt(plaintext, kind)
    assert media.file_length == len(plaintext)
    assert (
        decrypt(
            media.blob,
            kind,
            media_key=media.media_key,
            file_enc_sha256=media.file_enc_sha256,
            file_sha256=media.file_sha256,
        )
        == plaintext
    )


@given(st.data())
def test_an_altered_attachment_is_refused(data: st.DataObject) -> None:
    media = encrypt(b"picture", MediaType.IMAGE)
    blob = bytearray(media.blob)
    blob[data.draw(st.integers(0, len(blob) - 1))] ^= 1
    with pytest.raises(MediaError, match="MAC"):
        decrypt(bytes(blob), MediaType.IMAGE, media_key=media.media_key)
    with pytest.raises(MediaError, match="encrypted file"):
        decrypt(
            bytes(blob),
            MediaType.IMAGE,
            media_key=media.media_key,
            file_enc_sha256=media.file_enc_sha256,
        )


def test_another_kind_or_key_or_hash_is_refused() -> None:
    media = encrypt(b"picture", MediaType.IMAGE)
    with pytest.raises(MediaError):
        decrypt(media.blob, MediaType.VIDEO, media_key=media.media_key)
    with pytest.raises(MediaError):
        decrypt(media.blob, MediaType.IMAGE, media_key=os.urandom(32))
    with pytest.raises(MediaError, match="decrypted"):
        decrypt(media.blob, MediaType.IMAGE, media_key=media.media_key, file_sha256=bytes(32))
    with pytest.raises(MediaError, match="short"):
        decrypt(bytes(10), MediaType.IMAGE, media_key=media.media_key)
