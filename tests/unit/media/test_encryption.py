"""Attachments as they are uploaded: what the phone's own implementation opens."""

from __future__ import annotations

import hashlib
import io
import os

import pytest
from neonize.exc import UploadError

from actors.media.encryption import Encryptor, Keys
from actors.media.media_host import parse_upload_error
from sandbox.crypto.media import MediaType, decrypt


@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, 100_003])
@pytest.mark.parametrize("kind", ["image", "link-thumbnail"])
def test_what_is_encrypted_in_parts_opens_as_a_whole(length: int, kind: str) -> None:
    plain, key, out = os.urandom(length), os.urandom(32), io.BytesIO()
    encryptor = Encryptor(Keys.expand(key, kind), out)
    for start in range(0, length, 7001):
        encryptor.update(plain[start : start + 7001])
    made = encryptor.finish()
    opened = decrypt(
        out.getvalue(),
        MediaType.IMAGE if kind == "image" else MediaType.LINK_THUMBNAIL,
        media_key=key,
        file_enc_sha256=made.file_enc_sha256,
        file_sha256=made.file_sha256,
    )
    assert opened == plain
    assert made.length == length
    assert made.file_sha256 == hashlib.sha256(plain).digest()


def test_the_host_and_the_token_are_read_from_the_complaint() -> None:
    host = parse_upload_error(
        'failed to execute request: Post "https://mmg.whatsapp.net/mms/image/dG9r?auth=a%2Fb%3D&'
        'token=dG9r": proxyconnect tcp: dial tcp 127.0.0.1:4: connect: connection refused'
    )
    assert (host.name, host.auth) == ("mmg.whatsapp.net", "a/b=")
    assert "a/b=" not in repr(host)


def test_no_token_is_in_the_error_when_the_complaint_is_another() -> None:
    with pytest.raises(UploadError) as caught:
        parse_upload_error('Get "https://elsewhere/x?auth=secret": refused')
    assert "secret" not in str(caught.value)
    with pytest.raises(UploadError, match="websocket not connected"):
        parse_upload_error("failed to refresh media connections: websocket not connected")
