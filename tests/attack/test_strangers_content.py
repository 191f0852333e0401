"""Pages, media files, key sets and numbers that somebody outside made up: read within bounds, or
refused; they reach no other file, and stop nobody."""

from __future__ import annotations

import ast
import asyncio
import gzip
import json
import math
import resource
import socket
import struct
import time
import tracemalloc
import wave
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from client.workshop import Workshop
from cluster.chatwoot.api import ChatwootApi, ChatwootConnections, ChatwootError
from cluster.chatwoot.config import ChatwootConfig
from cluster.domain.errors import Invalid, Unavailable
from cluster.events.message_parts import location_of
from cluster.media.fetch import Fetcher
from cluster.media.pages import read_page
from cluster.media.prepare import Preparer
from cluster.media.refused import Refused
from cluster.security.jwks import JwksSource
from cluster.settings import MediaSettings
from cluster.webhooks.poster import Poster
from ops.local.layout import ROOT

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
Serve = Callable[[Answer], Awaitable[str]]
_SECRET_HZ = 8000


@pytest_asyncio.fixture
async def serve() -> AsyncIterator[Serve]:
    runners: list[web.AppRunner] = []

    async def made(answer: Answer) -> str:
        app = web.Application()
        app.router.add_route("*", "/{any:.*}", answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        await web.SockSite(runner, listening).start()
        runners.append(runner)
        return f"http://127.0.0.1:{listening.getsockname()[1]}/"

    yield made
    for runner in runners:
        await runner.cleanup()


def _secret(folder: Path) -> Path:
    path = folder / "secret.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_SECRET_HZ)
        file.writeframes(b"\0\x10" * _SECRET_HZ)
    return path


@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile secret.wav\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{secret}\n#EXT-X-ENDLIST\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile://{secret}\n#EXT-X-ENDLIST\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nhttp://127.0.0.1:{port}/\n#EXT-X-ENDLIST\n",
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period>'
        "<AdaptationSet><Representation id='1'><BaseURL>{secret}</BaseURL></Representation>"
        "</AdaptationSet></Period></MPD>",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=audio {port} RTP/AVP 0\n",
        "[playlist]\nFile1={secret}\n",
    ],
)
@pytest.mark.parametrize("kind", ["audio", "video"])
async def test_a_playlist_reaches_no_other_file_and_no_address(
    tmp_path: Path, serve: Serve, text: str, kind: Any
) -> None:
    reached: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        reached.append(request.path)
        return web.Response(body=_secret(tmp_path).read_bytes())

    port = (await serve(answer)).rstrip("/").rpartition(":")[2]
    source = tmp_path / "evil"
    source.write_text(text.format(secret=_secret(tmp_path), port=port))
    with pytest.raises(Invalid):
        await Preparer(MediaSettings()).prepare(kind, source, tmp_path / "out", seconds=15)
    assert not reached


async def test_real_sound_is_still_read(tmp_path: Path) -> None:
    facts = await Preparer(MediaSettings()).prepare("audio", _secret(tmp_path), tmp_path / "out")
    assert facts["seconds"] == 1.0
    assert facts["mimetype"].startswith("audio/ogg")


@pytest.mark.parametrize(
    "head",
    [
        b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\x01\0"
        + b"\xff" * 12
        + b"\x20\0data\xff\xff\xff\xff",
        b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom\xff\xff\xff\xffmoov",
        b"GIF89a\xff\xff\xff\xff\xf7\0\0" + b"!\xf9\x04\0\0\0\0\0" * 1000,
        b"OggS\0\x02" + b"\xff" * 100,
        b"fLaC\0\0\0\x22" + b"\xff" * 64,
        b"\x1aE\xdf\xa3\x01\xff\xff\xff\xff\xff\xff\xff",
        b"RIFF\xff\xff\xff\xffWEBPVP8X\n\0\0\0\xff\0\0\0\xff\xff\xff\xff\xff\xff",
        b"\xff\xd8\xff\xe0\xff\xff" + b"\xff\xc0\0\x11\x08\xff\xff\xff\xff\x03" * 50,
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(secret) run\n",
        b"II*\0\x08\0\0\0\xff\xff" + b"\xff" * 200,
        b"8BPS\0\x01" + b"\xff" * 60,
        b"P6 99999999 99999999 255\n",
    ],
)
@pytest.mark.parametrize("kind", ["image", "square", "audio", "video"])
async def test_crafted_media_are_refused_in_a_process_of_their_own(
    tmp_path: Path, head: bytes, kind: Any
) -> None:
    source = tmp_path / "crafted"
    source.write_bytes(head + b"\xff\0" * 5000)
    work = Preparer(MediaSettings()).prepare(kind, source, tmp_path / "out", seconds=20)
    answer: Any = (await asyncio.gather(work, return_exceptions=True))[0]
    assert isinstance(answer, dict | Invalid), "never a failure of the worker"
    assert str(tmp_path) not in str(answer)


def _png(width: int, height: int, *, depth: int = 8, colour: int = 6) -> bytes:
    """Black, of any size: a thousandth of what it unpacks to."""
    row = width * depth * {0: 1, 2: 3, 6: 4}[colour] // 8 + 1
    packer = zlib.compressobj(9)
    lines, rows = bytes(row * 64), height
    packed = b"".join(packer.compress(lines) for _ in range(rows // 64)) + packer.flush()
    made = b"\x89PNG\r\n\x1a\n"
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    for name, data in ((b"IHDR", header), (b"IDAT", packed), (b"IEND", b"")):
        made += struct.pack(">I", len(data)) + name + data
        made += struct.pack(">I", zlib.crc32(name + data))
    return made


@pytest.mark.parametrize(
    ("width", "height", "depth", "colour"),
    [
        # What a header may say, and what stays just below the bound of pixels.
        *((2**31 - 1, 2**31 - 1, 8, 6), (2**31 - 1, 64, 8, 0), (1 << 15, 1 << 15, 8, 2)),
        *((9984, 9984, 8, 6), (90_000_000, 1, 8, 6)),
    ],
)
@pytest.mark.parametrize("kind", ["image", "square"])
async def test_pictures_that_unpack_to_gigabytes(
    tmp_path: Path, kind: Any, width: int, height: int, depth: int, colour: int
) -> None:
    """Refused, or done in a process that has its bounds; never in the one that answers."""
    whole = width * height < 1 << 30 and max(width, height) < 1 << 17
    shown = _png(width, height, depth=depth, colour=colour) if whole else _png(64, 64)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    source = tmp_path / "bomb.png"
    source.write_bytes(shown[:16] + header + _crc(header) + shown[33:])
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    work = Preparer(MediaSettings()).prepare(kind, source, tmp_path / "out", seconds=40)
    answer: Any = (await asyncio.gather(work, return_exceptions=True))[0]
    assert isinstance(answer, dict | Invalid)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - used < 50 << 10


def _crc(header: bytes) -> bytes:
    return struct.pack(">I", zlib.crc32(b"IHDR" + header))


def test_nothing_but_the_confined_program_decodes() -> None:
    """Pillow and FFmpeg are in its reach alone, whoever sent the file."""
    decoders, own = {"PIL", "av"}, {"cluster.media.pictures", "cluster.media.transcoding"}
    found = set()
    for folder in ("actors", "api", "client", "cluster", "ops"):
        for path in (ROOT / folder).rglob("*.py"):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            for node in ast.walk(ast.parse(path.read_text())):
                names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom):
                    names = [node.module or "", *(f"{node.module}.{a.name}" for a in node.names)]
                if any(name.partition(".")[0] in decoders or name in own for name in names):
                    found.add(module)
    assert found == own | {"cluster.media.worker"}


async def test_a_conversion_fills_no_disk(tmp_path: Path) -> None:
    """What comes out is bounded as what goes in."""
    source = tmp_path / "long.wav"
    with wave.open(str(source), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(48000)
        file.writeframes(b"\0\x10\x20\x30" * 24000 * 20)
    with pytest.raises((Invalid, Unavailable)):
        await Preparer(MediaSettings(max_bytes=10_000)).prepare("audio", source, tmp_path / "out")
    assert (tmp_path / "out").stat().st_size <= 10_000


_SIZE = 1 << 20


@pytest.mark.parametrize(
    "page",
    [
        *(
            "<",
            "<!",
            "<!--",
            "<!-",
            "<![",
            "</",
            "<?",
            "<a",
            "<a ",
            "&",
            "&#",
            "<a a='",
            "<!DOCTYPE ",
        ),
        *(
            "<title>",
            "<title><b>",
            "<meta property='og:title' content='x",
            "<script></",
            "<style><!--",
        ),
    ],
)
async def test_no_page_is_read_for_long(tmp_path: Path, page: str) -> None:
    """Python's HTML parser takes quadratic time for some: not in the process that answers."""
    source = tmp_path / "page"
    source.write_bytes((page * (_SIZE // len(page))).encode())
    began, slowest = time.monotonic(), 0.0
    task = asyncio.ensure_future(Preparer(MediaSettings()).prepare("page", source, seconds=3))
    while not task.done():
        turn = time.monotonic()
        await asyncio.sleep(0.01)
        slowest = max(slowest, time.monotonic() - turn)
    assert task.exception() is None or isinstance(task.exception(), Invalid)
    assert slowest < 5, "others are answered meanwhile"
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    "charset", ["idna", "punycode", "undefined", "unicode_escape", "utf-7", "zlib", "hex", "mbcs"]
)
def test_no_charset_of_pythons_own_is_taken(charset: str) -> None:
    html = f"<meta charset={charset}><title>a\\x41+AEE-b</title>".encode()
    assert read_page(html)["title"] == "a\\x41+AEE-b"


def test_a_page_that_is_none_has_no_preview() -> None:
    with pytest.raises(Refused):
        read_page(b"<title>a</title><![ " + b"x" * 100)


@pytest.mark.parametrize("what", ["large", "image", "slow", "broken", "gone"])
async def test_a_page_never_holds_up_the_text_that_links_to_it(serve: Serve, what: str) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        head = "<title>t</title>" if what == "image" else ""
        if what == "gone":
            return web.Response(status=500)
        response = web.StreamResponse(headers={"Content-Type": "text/html"})
        await response.prepare(request)
        for _ in range(40):
            await response.write((head + "x" * 100_000).encode() if what != "slow" else b"x")
            await asyncio.sleep(1 if what == "slow" else 0)
        if what == "broken":
            request.transport.close()  # type: ignore[union-attr]
        return response

    workshop = Workshop(MediaSettings(fetch_allow="127.0.0.0/8", fetch_timeout_seconds=5))
    began = time.monotonic()
    assert await workshop.page(await serve(answer)) is None
    assert time.monotonic() - began < 20
    assert isinstance(workshop.fetcher, Fetcher)


def _rsa(**change: Any) -> dict[str, Any]:
    return {"kty": "RSA", "kid": "a", "n": "AQAB" * 80, "e": "AQAB"} | change


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"keys": 5}',
        b'{"keys": {"a": 1}}',
        b'{"keys": [5, null, "x", []]}',
        b"NaN",
        b"",
        b"\xff\xfe",
        json.dumps({"keys": [_rsa(n=5)]}).encode(),
        json.dumps({"keys": [_rsa(e=None)]}).encode(),
        json.dumps({"keys": [_rsa(n="\u2603")]}).encode(),
        json.dumps({"keys": [{"kty": "EC", "crv": ["P-256"], "x": "AA", "y": "AA"}]}).encode(),
        json.dumps({"keys": [{"kty": ["RSA"]}, {"kty": "oct", "k": "AAAA"}]}).encode(),
        b'{"keys": [' + b"{}," * 300_000 + b"{}]}",
        b"x" * (2 << 20),
    ],
)
async def test_a_key_set_that_is_none_locks_nobody_out_and_lets_nobody_in(
    serve: Serve, body: bytes
) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=body)

    source = JwksSource(await serve(answer), lifetime=60)
    with pytest.raises(Unavailable):
        await source.find("a")
    kept: list[Any] = ["kept"]
    source._keys = kept
    source._tried_at = source._read_at = float("-inf")
    await source._refresh(60)
    assert source._keys == kept, "the last good set is used on"


async def test_an_issuer_that_dawdles_or_packs_is_not_waited_for(serve: Serve) -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(60):
            await response.write(b" ")
            await asyncio.sleep(1)
        return response

    async def bomb(request: web.Request) -> web.Response:
        return web.Response(
            body=gzip.compress(b" " * (200 << 20)), headers={"Content-Encoding": "gzip"}
        )

    for answer in (drip, bomb):
        source = JwksSource(await serve(answer), lifetime=60)
        began = time.monotonic()
        with pytest.raises(Unavailable):
            await source.find("a")
        assert time.monotonic() - began < 15


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "GZIP", "br", "gzip, gzip"])
async def test_answers_of_webhooks_are_not_unpacked(serve: Serve, encoding: str) -> None:
    packed = gzip.compress(b"0" * (32 << 20), 6)
    asked: list[str] = []

    async def bomb(request: web.Request) -> web.StreamResponse:
        asked.append(request.headers["Accept-Encoding"])
        response = web.StreamResponse(status=500, headers={"Content-Encoding": encoding})
        await response.prepare(request)
        await response.write(packed)
        return response

    poster = Poster(timeout=10, allow="127.0.0.0/8", connections=1)
    url = await serve(bomb)
    tracemalloc.start()
    try:
        outcome = await poster.post(url, b"{}", {})
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        await poster.close()
    assert (outcome.status, outcome.error, asked) == (500, "answered 500", ["identity"])
    assert peak < 8 << 20


@pytest.mark.parametrize("status", [200, 500])
async def test_answers_of_a_chatwoot_are_not_unpacked(serve: Serve, status: int) -> None:
    """Its URL is its tenant's choice, as a webhook's is."""
    packed = gzip.compress(b" " * (64 << 20), 6)

    async def bomb(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=status, headers={"Content-Encoding": "gzip"})
        await response.prepare(request)
        await response.write(packed)
        return response

    config = ChatwootConfig.of(
        {
            "url": (await serve(bomb)).rstrip("/"),
            "accountId": 1,
            "accountToken": "t",
            "inboxId": 1,
            "inboxIdentifier": "i",
        }
    )
    connections = ChatwootConnections(timeout=10, allow="127.0.0.0/8")
    tracemalloc.start()
    try:
        with pytest.raises(ChatwootError):
            await ChatwootApi(connections, config).contact("a")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        await connections.close()
    assert peak < 8 << 20


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e308, 91.0])
def test_a_place_that_is_none_is_emitted_as_json_all_the_same(value: float) -> None:
    from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import LocationMessage, Message

    from actors.whatsapp.incoming import as_json, describe
    from cluster.domain.message import StoredMessage
    from cluster.events.message_shape import message_payload

    sent = Message(locationMessage=LocationMessage(degreesLatitude=value, degreesLongitude=value))
    kind, body, _ = describe(as_json(sent))
    message = StoredMessage(
        message_id="A",
        chat="4915100002@s.whatsapp.net",
        sender="4915100002@s.whatsapp.net",
        from_me=False,
        timestamp=datetime.now(UTC),
        kind=kind,
        body=body,
        payload={"message": as_json(sent)},
    )
    json.loads(
        json.dumps(message_payload(message, None), allow_nan=False), parse_constant=pytest.fail
    )
    assert location_of(message) is not None
