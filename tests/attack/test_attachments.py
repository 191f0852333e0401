"""What a message says of its attachment was written by its sender: sizes, types, paths, hashes.

WhatsApp's media server is stood in for by a transport of httpx (the real one cannot be had here);
the encryption is real.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import os
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from actors.media import downloads
from cluster.domain.errors import GatewayError, Invalid, NotFound, WhatsAppRefused
from cluster.domain.message import StoredMessage
from cluster.media.links import file_of
from cluster.media.media_types import is_shown
from sandbox.crypto.media import EncryptedMedia, MediaType, encrypt

LIMIT = 1 << 20
Serve = Callable[..., "Server"]


class Objects:
    """What would go to the object store."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[int, str]] = {}

    async def put_file(self, key: str, path: Path, *, content_type: str) -> None:
        self.kept[key] = (path.stat().st_size, content_type)  # noqa: ASYNC240


class Server(httpx.AsyncBaseTransport):
    """Serves one blob, and counts what was taken of it."""

    def __init__(self, blob: bytes, headers: dict[str, str]) -> None:
        self._blob, self._headers = blob, headers
        self.asked: list[httpx.URL] = []
        self.taken = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url)

        async def parts() -> AsyncIterator[bytes]:
            for start in range(0, len(self._blob), 1 << 16):
                self.taken += 1 << 16
                yield self._blob[start : start + (1 << 16)]

        return httpx.Response(200, headers=self._headers, content=parts())


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Serve:
    def made(blob: bytes, **headers: str) -> Server:
        server = Server(blob, {k.replace("_", "-"): v for k, v in headers.items()})
        monkeypatch.setattr(downloads, "media_http", lambda _: httpx.AsyncClient(transport=server))
        return server

    return made


def _part(made: EncryptedMedia, **claimed: Any) -> dict[str, Any]:
    def text(raw: bytes) -> str:
        return base64.b64encode(raw).decode()

    return {
        "directPath": "/v/t62/file?x=1",
        "mediaKey": text(made.media_key),
        "fileSHA256": text(made.file_sha256),
        "fileEncSHA256": text(made.file_enc_sha256),
        "fileLength": "1",
        "mimetype": "image/png",
        **claimed,
    }


async def _keep(objects: Objects, part: dict[str, Any], most: int = LIMIT) -> int:
    return await downloads.keep(
        objects,  # type: ignore[arg-type]
        part=part,
        kind="image",
        key="media/1/x",
        proxy_url="",
        max_bytes=most,
    )


async def test_the_real_size_counts_not_the_claimed_one(serve: Serve) -> None:
    made = encrypt(bytes(20 * LIMIT), MediaType.IMAGE)
    server, objects = serve(made.blob), Objects()
    with pytest.raises(NotFound, match="larger"):
        await _keep(objects, _part(made))
    assert server.taken < 3 * LIMIT, "the rest is not even taken"
    assert not objects.kept
    server = serve(made.blob, Content_Length=str(len(made.blob)))
    with pytest.raises(NotFound, match="larger"):
        await _keep(objects, _part(made))
    assert server.taken == 0
    exact = encrypt(bytes(LIMIT), MediaType.IMAGE)
    serve(exact.blob)
    assert await _keep(objects, _part(exact)) == LIMIT


async def test_nothing_is_unpacked_on_the_way(serve: Serve) -> None:
    made = encrypt(os.urandom(1000), MediaType.IMAGE)
    bomb = gzip.compress(bytes(50 * LIMIT))
    server = serve(bomb, Content_Encoding="gzip")
    with pytest.raises(WhatsAppRefused):
        await _keep(Objects(), _part(made))
    assert server.taken < LIMIT


@pytest.mark.parametrize(
    "change",
    [
        {"directPath": "/a\r\nX-Evil: 1"},
        {"directPath": "/a\x00b"},
        {"directPath": "/ü"},
        {"directPath": "/a b"},
        {"directPath": "a"},
        {"directPath": "@evil.example/"},
        {"directPath": "/" + "a" * 70_000},
        {"directPath": ""},
        {"mediaKey": "not base64!"},
        {"mediaKey": ""},
        {"fileSHA256": "ü"},
        {"fileEncSHA256": "a"},
    ],
)
async def test_a_part_that_cannot_be_asked_for_is_refused_at_once(
    serve: Serve, change: dict[str, Any]
) -> None:
    """As malformed (422) or as something else than was sent (502): never as away, which is tried
    again for half a minute."""
    made = encrypt(b"x", MediaType.IMAGE)
    serve(made.blob)
    with pytest.raises((Invalid, WhatsAppRefused)):
        await _keep(Objects(), _part(made, **change))


@pytest.mark.parametrize(
    "path", ["//evil.example/x", "/../../x", "/x@evil.example", "/x#y", "/\\evil"]
)
async def test_no_path_leads_to_another_host(serve: Serve, path: str) -> None:
    made = encrypt(b"x", MediaType.IMAGE)
    server = serve(made.blob)
    with contextlib.suppress(GatewayError):
        await _keep(Objects(), _part(made, directPath=path))
    assert {url.host for url in server.asked} <= {"mmg.whatsapp.net"}


@pytest.mark.parametrize(
    "mimetype", ["image/png\r\nX-Evil: 1", "image/üö", "image/png\0", "x" * 5000, "", "text"]
)
async def test_a_type_that_is_none_is_kept_as_bytes(serve: Serve, mimetype: str) -> None:
    made, objects = encrypt(b"x", MediaType.IMAGE), Objects()
    serve(made.blob)
    part = _part(made, mimetype=mimetype, fileName="a\r\nb\0c" + "d" * 1000)
    assert await _keep(objects, part) == 1
    assert objects.kept == {"media/1/x": (1, "application/octet-stream")}
    message = StoredMessage(
        message_id="A",
        chat="4915100002@s.whatsapp.net",
        sender="4915100002@s.whatsapp.net",
        from_me=False,
        timestamp=datetime.now(UTC),
        kind="image",
        has_media=True,
        payload={"message": {"imageMessage": part}},
    )
    file = file_of(message)
    assert file is not None
    assert file.mimetype in {"application/octet-stream", ""}
    assert file.filename.isprintable()
    assert len(file.filename) <= 255


@pytest.mark.parametrize(
    ("mimetype", "shown"),
    [
        ("image/png", True),
        ("IMAGE/PNG; a=b", True),
        ("audio/ogg; codecs=opus", True),
        ("video/mp4", True),
        ("image/png+xml", False),
        ("image/pngx", False),
        ("image/svg+xml", False),
        ("video/mp4+html", False),
        ("audio/x+xml", False),
        ("text/html", False),
    ],
)
def test_only_whole_names_of_types_are_shown(mimetype: str, shown: bool) -> None:
    assert is_shown(mimetype) is shown
