"""TLS towards S3: what is read for it is read once a process."""

from __future__ import annotations

import asyncio
import ssl

import pytest

from cluster.domain.errors import Unavailable
from cluster.settings import StoreSettings
from cluster.stores.objects import ObjectStore, tls_context


async def test_certificates_are_read_once_and_not_for_each_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reads = connections = 0
    load = ssl.SSLContext.load_default_certs

    def counted(self: ssl.SSLContext, purpose: ssl.Purpose = ssl.Purpose.SERVER_AUTH) -> None:
        nonlocal reads
        reads += 1
        load(self, purpose)

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        writer.close()

    monkeypatch.setattr(ssl.SSLContext, "load_default_certs", counted)
    tls_context.cache_clear()
    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        store = ObjectStore(StoreSettings(s3_endpoint=f"127.0.0.1:{port}", s3_secure=True))
        with pytest.raises(Unavailable):
            await store.get("anything")
    assert connections > 1, "it tried again"
    assert reads == 1


def test_servers_must_prove_who_they_are() -> None:
    context = tls_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
