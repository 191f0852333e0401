"""Server-side request forgery: URLs of callers, for files and webhooks, lead to public addresses or
nowhere, whatever way they spell, resolve or redirect."""

from __future__ import annotations

import asyncio
import gzip
import socket
from typing import Any

import psutil
import pytest
from aiohttp import web
from inner_service import Inside

from cluster.domain.errors import BodyTooLarge, GatewayError
from cluster.media.fetch import Fetcher
from cluster.media.spool import Spool
from cluster.settings import MediaSettings
from cluster.webhooks.poster import Poster

LIMIT = 100_000


#: Every way to say 127.0.0.1 or another address of this machine.
HOSTS = [
    *("127.0.0.1", "127.1", "127.000.000.001", "2130706433", "0x7f000001", "0x7f.0.0.1"),
    *("017700000001", "0177.0.0.1", "0177.1", "0", "0.0.0.0", "127.0.0.1."),  # noqa: S104
    *("[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[::1%25lo]"),
    *("localhost", "LOCALHOST", "localhost.", "①②⑦.⓪.⓪.①", "127。0。0。1"),
    *("[64:ff9b::7f00:1]", "[2002:7f00:1::]", "user:pw@127.0.0.1", "8.8.8.8@127.0.0.1"),
]


@pytest.mark.parametrize("host", HOSTS)
async def test_no_spelling_of_an_inner_address_is_fetched_or_posted_to(
    inside: Inside, host: str
) -> None:
    for path in ("/", "/moves"):
        url = f"http://{host}:{inside.port}{path}"
        async with Spool(LIMIT) as spool:
            with pytest.raises((GatewayError, UnicodeError, ValueError)):
                await Fetcher(MediaSettings(fetch_timeout_seconds=3)).fetch(url, spool)
        poster = Poster(timeout=3, allow="", connections=2)
        outcome = await poster.post(url, b"{}", {})
        await poster.close()
        assert not outcome.delivered
        assert "secret" not in outcome.error
    assert inside.reached == []


async def test_a_name_that_changes_its_mind_gains_nothing(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: public at the first lookup, inside at the second."""
    loop = asyncio.get_running_loop()
    asked: list[str] = []

    async def resolve(host: str, port: int, **_: Any) -> list[Any]:
        if host != "rebinding.example":
            raise OSError("no such name")
        asked.append(host)
        # TEST-NET-like, but global by its form; nothing answers there within the time.
        address = "192.31.196.1" if len(asked) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(loop, "getaddrinfo", resolve)
    url = f"http://rebinding.example:{inside.port}/"
    for turn in range(2):
        poster = Poster(timeout=1, allow="", connections=2)
        assert not (await poster.post(url, b"{}", {})).delivered
        await poster.close()
        async with Spool(LIMIT) as spool:
            with pytest.raises(GatewayError):
                await Fetcher(MediaSettings(fetch_timeout_seconds=1)).fetch(url, spool)
        if not turn:
            asked.clear()
    assert inside.reached == []


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "gopher://127.0.0.1/", "ftp://127.0.0.1/x", "http:///x", "//x/y"]
)
async def test_nothing_but_http_is_spoken(url: str) -> None:
    async with Spool(LIMIT) as spool:
        with pytest.raises(GatewayError):
            await Fetcher(MediaSettings()).fetch(url, spool)
    poster = Poster(timeout=1, allow="0.0.0.0/0,::/0", connections=1)
    assert not (await poster.post(url, b"{}", {})).delivered
    await poster.close()


async def test_a_redirect_of_a_permitted_receiver_is_not_followed(inside: Inside) -> None:
    poster = Poster(timeout=3, allow="127.0.0.1/32", connections=1)
    outcome = await poster.post(f"http://127.0.0.1:{inside.port}/moves", b"{}", {})
    await poster.close()
    assert outcome.status == 307
    assert inside.reached == ["POST /moves"]


async def test_a_compressed_answer_is_not_unpacked_into_memory() -> None:
    """Counted while it is unpacked, piece by piece: what it takes on the wire is no measure."""
    bomb = gzip.compress(b"\0" * (64 << 20), 1)
    assert len(bomb) > LIMIT

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=bomb, headers={"Content-Encoding": "gzip"})

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    allowed = MediaSettings(fetch_allow="127.0.0.1/32", fetch_timeout_seconds=5)
    for limit in (LIMIT, len(bomb) + 1):
        before = psutil.Process().memory_info().rss
        async with Spool(limit) as spool:
            with pytest.raises(BodyTooLarge):
                await Fetcher(allowed).fetch(f"http://127.0.0.1:{port}/", spool)
        assert psutil.Process().memory_info().rss - before < 32 << 20
    await runner.cleanup()
