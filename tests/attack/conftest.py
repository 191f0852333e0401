"""The HTTP front over real stores with two tenants, and no Ray behind it."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import jwt
import pytest
import pytest_asyncio
from fastapi import FastAPI
from pydantic import SecretStr

from api.app import create_app
from api.security.rate_limits import RateLimits
from cluster.client.gateway import Gateway
from cluster.domain.session import DesiredState, SessionRecord
from cluster.settings import FrontSettings, HttpSettings, JwtSettings, Settings
from cluster.stores import Stores

OPERATOR_KEY = "operator-key-of-these-tests"
TOKEN_SECRET = "t" * 40
ISSUER, AUDIENCE = "https://issuer.example", "gateway"


class GatewayWithoutRay(Gateway):
    """Reading stores needs no cluster; what reached an actor would fail loudly."""

    def __init__(self, settings: Settings, stores: Stores) -> None:
        super().__init__(settings, tenant="default")
        self._opened = stores

    async def stores(self) -> Stores:
        return self._opened

    async def close(self) -> None:
        await self.live.close()


@dataclass
class Front:
    """The application, its stores, and clients for callers."""

    app: FastAPI
    stores: Stores
    client: Callable[..., httpx.AsyncClient]

    def operator(self) -> httpx.AsyncClient:
        return self.client({"X-Api-Key": OPERATOR_KEY})

    def with_token(self, **claims: Any) -> httpx.AsyncClient:
        return self.client({"Authorization": f"Bearer {token(**claims)}"})


def token(**claims: Any) -> str:
    """A good token, but for `claims`."""
    standard = {"iss": ISSUER, "aud": AUDIENCE, "sub": "caller", "exp": int(time.time()) + 300}
    return jwt.encode(standard | claims, TOKEN_SECRET, algorithm="HS256")


@pytest_asyncio.fixture
async def front(store_settings: Settings, stores: Stores) -> AsyncIterator[Front]:
    http = HttpSettings(
        _env_file=os.devnull, api_key=SecretStr(OPERATOR_KEY), request_timeout_seconds=20
    )
    tokens = JwtSettings(
        _env_file=os.devnull, secret=SecretStr(TOKEN_SECRET), issuer=ISSUER, audience=AUDIENCE
    )
    app = create_app(lambda: GatewayWithoutRay(store_settings, stores), http, None, tokens)
    clients: list[httpx.AsyncClient] = []

    def client(headers: dict[str, str]) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        made = httpx.AsyncClient(transport=transport, base_url="http://gateway", headers=headers)
        clients.append(made)
        return made

    async with app.router.lifespan_context(app):
        yield Front(app, stores, client)
        for made in clients:
            await made.aclose()


@pytest.fixture
def front_with(store_settings: Settings, stores: Stores) -> Callable[..., FastAPI]:
    """The application with a front and limits of the test's own."""

    def made(limits: RateLimits | None = None, **front: Any) -> FastAPI:
        http = HttpSettings(
            _env_file=os.devnull, api_key=SecretStr(OPERATOR_KEY), max_body_bytes=65536
        )
        app = create_app(
            lambda: GatewayWithoutRay(store_settings, stores),
            http,
            front_settings=FrontSettings(_env_file=os.devnull, **front),
            limits=limits,
        )
        # What `lifespan` does, for clients that do not run it.
        app.state.gateway = GatewayWithoutRay(store_settings, stores)
        return app

    return made


@pytest_asyncio.fixture
async def victim(stores: Stores, session_name: Callable[[], str]) -> SessionRecord:
    """A session of the tenant `default` that the callers of these tests may not see."""
    config = {"metadata": {"note": "confidential"}}
    return await stores.sessions.create("default", session_name(), config, DesiredState.STOPPED)


@pytest.fixture
def tenant(session_name: Callable[[], str]) -> str:
    """Another tenant, of this test alone."""
    return f"evil-{session_name()}"
