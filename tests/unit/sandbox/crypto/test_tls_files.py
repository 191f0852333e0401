"""TLS: a client with the bundle believes the server under every name it may use."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sandbox.crypto import tls


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC)


@pytest.mark.parametrize(
    "name",
    ["web.whatsapp.com", "mmg.whatsapp.net", "media.cdn.whatsapp.net", "localhost", "127.0.0.1"],
)
async def test_a_client_with_the_bundle_connects(tmp_path: Path, now: datetime, name: str) -> None:
    files = tls.prepare(tmp_path, now=now)

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0, ssl=files.server_context())
    async with server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection(
            "127.0.0.1",
            port,
            ssl=ssl.create_default_context(cafile=str(files.bundle)),
            server_hostname=name,
        )
        assert await reader.read() == b"hello"
        writer.close()
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection(
                "127.0.0.1",
                port,
                ssl=ssl.create_default_context(cafile=str(files.bundle)),
                server_hostname="example.org",
            )


def test_a_restart_keeps_the_authority(tmp_path: Path, now: datetime) -> None:
    first = tls.prepare(tmp_path, now=now)
    authority, key = first.authority.read_bytes(), first.key.read_bytes()
    tls.prepare(tmp_path, now=now + timedelta(days=100))
    assert (first.authority.read_bytes(), first.key.read_bytes()) == (authority, key)


@pytest.mark.parametrize("broken", ["server.pem", "server.key", "ca.pem"])
def test_missing_or_broken_files_are_made_anew(tmp_path: Path, now: datetime, broken: str) -> None:
    files = tls.prepare(tmp_path, now=now)
    authority = files.authority.read_bytes()
    (tmp_path / broken).write_text("not PEM")
    files = tls.prepare(tmp_path, now=now)
    assert files.authority.read_bytes() != authority
    assert files.authority.read_bytes() in files.bundle.read_bytes()
    files.server_context()


def test_an_expiring_certificate_is_renewed(tmp_path: Path, now: datetime) -> None:
    files = tls.prepare(tmp_path, now=now - timedelta(days=350))
    authority = files.authority.read_bytes()
    tls.prepare(tmp_path, now=now)
    assert files.authority.read_bytes() != authority


def test_the_bundle_holds_the_systems_roots_too(
    tmp_path: Path, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    roots = tmp_path / "roots.pem"
    roots.write_text("# the system's roots")
    monkeypatch.setenv("SSL_CERT_FILE", str(roots))
    files = tls.prepare(tmp_path / "tls", now=now)
    assert files.bundle.read_bytes() == roots.read_bytes() + b"\n" + files.authority.read_bytes()
    monkeypatch.setenv("SSL_CERT_FILE", str(files.bundle))
    tls.prepare(tmp_path / "tls", now=now)
    assert files.bundle.read_bytes().endswith(files.authority.read_bytes())
    assert files.bundle.read_bytes().count(files.authority.read_bytes()) == 1


def test_the_private_key_is_for_its_owner_only(tmp_path: Path, now: datetime) -> None:
    assert tls.prepare(tmp_path, now=now).key.stat().st_mode & 0o077 == 0
