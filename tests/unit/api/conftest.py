"""The application in this process, over a fake gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from fake_gateway import KEY, LIMIT, FakeGateway, served
from pydantic import SecretStr

from api.app import create_app
from cluster.domain.session import SessionStatus
from cluster.settings import HttpSettings


@pytest.fixture
def gateway() -> FakeGateway:
    fake = FakeGateway()
    for name, status in {
        "working": SessionStatus.WORKING,
        "scan": SessionStatus.SCAN_QR_CODE,
        "stopped": SessionStatus.STOPPED,
    }.items():
        fake.add(name, status)
    return fake


@pytest.fixture
async def stranger(gateway: FakeGateway) -> AsyncIterator[httpx.AsyncClient]:
    """A caller without a key."""
    app = create_app(served(gateway), HttpSettings(api_key=SecretStr(KEY), max_body_bytes=LIMIT))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app), base_url="http://gateway"
        ) as client,
    ):
        yield client


@pytest.fixture
def caller(stranger: httpx.AsyncClient) -> httpx.AsyncClient:
    """A caller with the key."""
    stranger.headers["X-Api-Key"] = KEY
    return stranger
