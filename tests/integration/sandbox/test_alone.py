"""`./gateway sandbox`: a process of its own, and its ways in."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import socket
import ssl
import sys
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from linked import Start

from sandbox.app import Sandbox
from sandbox.server import privacy_tokens

ROOT = Path(__file__).parents[3]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@asynccontextmanager
async def alone(folder: Path, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    command = [sys.executable, "-m", "sandbox", "--data-dir", str(folder), *arguments]
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
            await process.wait()


async def test_its_stdout_is_json_and_nothing_else(tmp_path: Path) -> None:
    ports = {name: free_port() for name in ("proxy", "websocket", "media", "control")}
    given = [text for name, port in ports.items() for text in (f"--{name}-port", str(port))]
    async with alone(tmp_path, "--host", "localhost", *given) as process:
        assert process.stdout is not None
        text = b""
        async with asyncio.timeout(60):
            while not text.rstrip().endswith(b"}"):
                text += await process.stdout.readline()
        printed = json.loads(text)
        for name in ("proxy", "websocket", "control"):
            address = urlsplit(printed[f"{name}_url"])
            assert (address.hostname, address.port) == ("localhost", ports[name]), name
        # Something that it warns of.
        trust = ssl.create_default_context(cafile=printed["ca_bundle"])
        async with asyncio.timeout(20):
            reader, writer = await asyncio.open_connection(
                "localhost", ports["websocket"], ssl=trust
            )
            writer.write(_upgrade())
            await reader.readuntil(b"\r\n\r\n")
            writer.write(bytes([0x82, 0x85, 0, 0, 0, 0]) + b"bogus")
            await reader.read()
            writer.close()
        process.send_signal(signal.SIGTERM)
        rest, errors = await asyncio.wait_for(process.communicate(), 30)
    assert rest == b"", "not a line more"
    assert b"sandbox.protocol_error" in errors


def _upgrade(*headers: str) -> bytes:
    lines = ["GET /ws/chat HTTP/1.1", "Host: web.whatsapp.com", "Upgrade: websocket"]
    lines += ["Connection: Upgrade", "Sec-WebSocket-Version: 13"]
    lines += ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


@pytest.mark.parametrize("way", ["websocket_url", "one_port_url"])
async def test_an_empty_subprotocol_is_none(sandbox: Sandbox, way: str) -> None:
    address = urlsplit(getattr(sandbox.endpoints, way))
    trust = ssl.create_default_context(cafile=sandbox.endpoints.ca_bundle)
    reader, writer = await asyncio.open_connection(address.hostname, address.port, ssl=trust)
    writer.write(_upgrade("Sec-WebSocket-Protocol: "))
    async with asyncio.timeout(10):
        assert b" 101 " in await reader.readuntil(b"\r\n")
    writer.close()


async def test_everything_is_at_one_address(sandbox: Sandbox) -> None:
    """As whatsapp-rust's suite has it: attachments, and the phone that scans."""
    address = urlsplit(sandbox.endpoints.one_port_url)
    trust = ssl.create_default_context(cafile=sandbox.endpoints.ca_bundle)
    base = f"https://{address.hostname}:{address.port}"
    async with httpx.AsyncClient(base_url=base, verify=trust, trust_env=False) as client:
        blob = os.urandom(100_000)
        token = urlsafe_b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
        put = await client.post(f"/mms/image/{token}", content=blob)
        assert put.json()["url"].startswith(base)
        assert (await client.get(put.json()["direct_path"])).content == blob
        refused = await client.post("/admin/mock-phone/scan-qr", content="no code")
        assert refused.status_code == 422
        assert "QR" in refused.json()["detail"]


async def test_devices_are_linked_over_http_as_the_suite_of_whatsapp_rust_does(
    sandbox: Sandbox, start: Start, tmp_path: Path
) -> None:
    """Its `spawn_qr_autoresponder_http` (tests/e2e/src/lib.rs): the address of the websocket with
    another path, the bare code as the body, no header, and any 2xx is well."""
    host = sandbox.endpoints.one_port_url.removeprefix("wss://").partition("/")[0]
    trust = ssl.create_default_context(cafile=sandbox.endpoints.ca_bundle)
    async with httpx.AsyncClient(verify=trust, trust_env=False) as http:
        for number in range(2):
            device = await start(tmp_path / f"{number}.db")
            await device.connect()
            code = (await device.event("QrShown"))["text"]
            scan = f"https://{host}/admin/mock-phone/scan-qr"
            answer = await http.send(httpx.Request("POST", scan, content=code.encode()))
            assert 200 <= answer.status_code < 300
            await device.event("Connected")
    # whatsmeow sends no push name before it is linked: each gets a phone of its own.
    phones = sandbox.phones.all()
    assert len(phones) == 2
    for phone in phones:
        assert sandbox.server.directory.devices(phone.number).keys() == {0, 1}


async def test_phones_are_known_by_the_push_name_of_their_devices(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Devices that call themselves the same are linked to one phone."""
    names = {"#a,": "Ann", "#b,": "Ann", "#c,": "restricted:Cy"}
    scanned: list[str] = []

    async def scan(phone: Any, qr: str) -> None:
        scanned.append(phone.account.name)

    monkeypatch.setattr("sandbox.phone.phone.Phone.scan", scan)
    monkeypatch.setattr(sandbox.server.pairing, "push_name", lambda qr: names[qr])
    first, second, third = [await sandbox.phones.scan(qr) for qr in names]
    assert scanned == ["Ann", "Ann", "restricted:Cy"]
    assert first is second
    assert first.number != third.number
    flags = {one: privacy_tokens.scenario(sandbox.server, one.number) for one in (first, third)}
    assert flags == {first: frozenset(), third: {"restricted"}}
