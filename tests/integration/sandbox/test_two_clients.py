"""The sandbox is held true by two clients that share no code: whatsmeow and Baileys."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from library_device import LibraryDevice

from benchmarks.baseline.process import baseline
from sandbox.app import Sandbox
from sandbox.phone.phone import Phone

pytestmark = pytest.mark.skipif(
    not (os.environ.get("GATEWAY_SLOW_TESTS") and shutil.which("node")),
    reason="installs npm packages: GATEWAY_SLOW_TESTS, and Node.js",
)


async def until(ask: Callable[[], Awaitable[Any]], what: str) -> Any:
    for _ in range(300):
        if found := await ask():
            return found
        await asyncio.sleep(0.1)
    raise AssertionError(what)


async def test_baileys_and_whatsmeow_talk_to_each_other(
    sandbox: Sandbox,
    alice: Phone,
    bob: Phone,
    link: Callable[[Phone], Awaitable[LibraryDevice]],
    tmp_path: Path,
) -> None:
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def hook(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        heard.put_nowait(await reader.readexactly(length))
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    webhook = await asyncio.start_server(hook, "127.0.0.1", 0)
    port = webhook.sockets[0].getsockname()[1]
    device = await link(bob)
    ends = sandbox.endpoints
    with baseline(
        tmp_path / "baseline",
        websocket_url=ends.websocket_url,
        ca_bundle=ends.ca_bundle,
        webhook_url=f"http://127.0.0.1:{port}/",
    ) as running:
        async with httpx.AsyncClient(base_url=running.url, timeout=30) as api:
            (await api.post("/api/sessions", json={"name": "one"})).raise_for_status()

            async def qr() -> str | None:
                answer = await api.get("/api/one/auth/qr")
                return answer.json()["value"] if answer.is_success else None

            await alice.scan(await until(qr, "Baileys shows a QR code"))

            async def works() -> bool:
                return bool((await api.get("/api/sessions/one")).json()["status"] == "WORKING")

            await until(works, "Baileys is connected")
            for number in range(3):
                sent = await api.post(
                    "/api/sendText",
                    json={
                        "session": "one",
                        "chatId": f"{bob.number}@c.us",
                        "text": f"from Baileys {number}",
                    },
                )
                assert sent.status_code == 201, sent.text
                await device.event("Received", body=f"from Baileys {number}", from_me=False)
                await device.send(f"{alice.number}@s.whatsapp.net", f"from whatsmeow {number}")
                async with asyncio.timeout(20):
                    assert f"from whatsmeow {number}".encode() in await heard.get()
            found = [e["text"] for e in bob.inbox() if not e["from_me"]]
            assert found == [f"from Baileys {number}" for number in range(3)], "his phone, too"
    webhook.close()
    assert sandbox.server.journal.unhandled == {}, "whatever Baileys asks has an answer"
