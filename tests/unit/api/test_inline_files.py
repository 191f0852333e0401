"""Files in bodies go to disk as they stream in: base64 in JSON, and forms."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import APIRouter
from fastapi.testclient import TestClient
from known_caller import application
from starlette.types import Message

from api.file_route import FileRoute
from api.inline_files import Base64Decoder, FileTaker
from api.models.chatting import VideoRequest
from api.models.files import attachment
from cluster.domain.errors import Invalid
from cluster.settings import MediaSettings

DATA = bytes(range(256)) * 150
TEXT = base64.b64encode(DATA).decode()


def taken(body: bytes, size: int) -> tuple[Any, list[bytes]]:
    """The remainder as parsed JSON, and the files, of a body that comes in parts of `size`."""
    files: list[io.BytesIO] = []

    def begin() -> tuple[str, io.BytesIO]:
        files.append(io.BytesIO())
        return f"file:{len(files)}", files[-1]

    taker = FileTaker(begin, limit=100_000)
    for start in range(0, len(body), size):
        taker.update(body[start : start + size])
    return json.loads(taker.finish()), [file.getvalue() for file in files]


@pytest.mark.parametrize("size", [1, 3, 4099, 1 << 20])
def test_a_file_is_taken_out_and_the_rest_stays(size: int) -> None:
    body = {
        "chatId": 'quo"ted\\',
        "file": {"mimetype": "a/b", "data": TEXT, "filename": "data"},
        "data": "short",
        "caption": "x" * 20_000,
        "more": [{"data": ["a", "b" * 17_000]}, {"data": f"data:image/png;base64,{TEXT}"}],
    }
    rest, files = taken(json.dumps(body).encode(), size)
    assert files == [DATA, DATA]
    body["file"]["data"], body["more"][1]["data"] = "file:1", "file:2"  # type: ignore[index]
    assert rest == body


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_escaped_slashes_and_line_breaks_are_base64_too(size: int) -> None:
    data = b"\xff\xef\xbe" * 9000
    lines = base64.encodebytes(data).decode().replace("\n", "\\r\\n").replace("/", "\\/")
    assert taken(b'{"data":"' + lines.encode() + b'"}', size) == ({"data": "file:1"}, [data])


@pytest.mark.parametrize("spoilt", ["*", "=", "=AAA", "A", "\\u0041", "é"])
def test_what_is_no_base64_is_refused(spoilt: str) -> None:
    decoder = Base64Decoder(io.BytesIO())

    def decode() -> None:
        for part in (TEXT, spoilt, TEXT):
            decoder.update(part.encode())
        decoder.finish()

    with pytest.raises(Invalid):
        decode()


def test_a_remainder_that_is_too_large_is_refused() -> None:
    with pytest.raises(Invalid, match="without its files"):
        taken(json.dumps({"caption": "x" * 200_000}).encode(), 1000)
    with pytest.raises(Invalid, match="does not end"):
        taken(b'{"data":"' + TEXT.encode(), 1000)


@pytest.fixture
def client() -> Iterator[TestClient]:
    app = application()
    app.state.media = MediaSettings(max_bytes=1_000_000)
    router = APIRouter(route_class=FileRoute)

    @router.post("/api/sendVideo")
    async def send(request: VideoRequest) -> dict[str, Any]:
        file = attachment(request.file)
        content = file.local.path.read_bytes() if file.local else b""
        return {
            "chat": request.chatId,
            "mentions": request.mentions,
            "convert": request.convert,
            "sha256": hashlib.sha256(content).hexdigest(),
            "noted": file.local.sha256 if file.local else "",
            "size": len(content),
            "names": [file.mimetype, file.filename],
            "inline": file.base64,
        }

    app.include_router(router)
    with TestClient(app) as found:
        yield found


async def test_nothing_is_read_of_a_caller_who_may_not_send() -> None:
    app = application(None)
    router = APIRouter(route_class=FileRoute)

    @router.post("/api/sendVideo")
    async def send(request: VideoRequest) -> None: ...

    app.include_router(router)
    said: list[Message] = []

    async def receive() -> Message:
        raise AssertionError("the body was read")

    async def heard(message: Message) -> None:
        said.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/api/sendVideo",
        "query_string": b"",
        "headers": [(b"content-type", b"multipart/form-data; boundary=x")],
    }
    await app(scope, receive, heard)
    assert said[0]["status"] == 403


def test_json_and_forms_give_the_same(client: TestClient) -> None:
    data = os.urandom(500_001)
    digest = hashlib.sha256(data).hexdigest()
    fields = {"chatId": "1@c.us", "convert": "true", "mentions[]": ["2@c.us", "3@c.us"]}
    by_form = client.post(
        "/api/sendVideo", data=fields, files={"file": ("a/f.mp4", data, "video/mp4")}
    )
    by_json = client.post(
        "/api/sendVideo",
        json={
            "chatId": "1@c.us",
            "convert": True,
            "mentions": ["2@c.us", "3@c.us"],
            "file": {
                "data": base64.b64encode(data).decode(),
                "mimetype": "video/mp4",
                "filename": "f.mp4",
            },
        },
    )
    for answer in (by_form, by_json):
        assert answer.json() == {
            "chat": "1@c.us",
            "mentions": ["2@c.us", "3@c.us"],
            "convert": True,
            "sha256": digest,
            "noted": digest,
            "size": len(data),
            "names": ["video/mp4", "f.mp4"],
            "inline": "",
        }


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"data": {"chatId": "1@c.us"}}, 422),
        ({"data": {"chatId": ["1", "2"]}, "files": {"file": b"x"}}, 422),
        ({"data": {"chatId": "1"}, "files": {"file": b"x" * 1_000_001}}, 413),
        ({"content": b"--x", "headers": {"Content-Type": "multipart/form-data"}}, 400),
        (
            {"content": b"x--", "headers": {"Content-Type": "multipart/form-data; boundary=x"}},
            400,
        ),
    ],
)
def test_forms_that_do_not_fit(client: TestClient, form: dict[str, Any], status: int) -> None:
    assert client.post("/api/sendVideo", **form).status_code == status


def test_a_token_of_nobody_is_base64_that_does_not_decode(client: TestClient) -> None:
    body = {"chatId": "1@c.us", "file": {"data": "file:" + "0" * 32}}
    assert client.post("/api/sendVideo", json=body).json()["inline"] == body["file"]["data"]  # type: ignore[index]


@pytest.mark.parametrize("size", [1, 5, 1000])
@pytest.mark.parametrize("left", [0, 1, 2])
def test_other_forms_of_base64_are_read_too(size: int, left: int) -> None:
    data = b"\xff\xef\xbe" * 9000 + b"\xfb" * left
    text = base64.b64encode(data).decode()
    url_safe = base64.urlsafe_b64encode(data).decode()
    escaped = text.replace("=", "\\u003d").replace("+", "\\u002B").replace("/", "\\/")
    for form in (url_safe, url_safe.rstrip("="), text.rstrip("="), escaped):
        _, files = taken(f'{{"data": "{form}"}}'.encode(), size)
        assert files == [data]
