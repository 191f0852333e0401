"""What the attacks are driven against."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
import pytest_asyncio
from aiohttp import web
from attack_front import AUDIENCE, ISSUER, OPERATOR_KEY, TOKEN_SECRET, Front, GatewayWithoutRay
from fastapi import FastAPI
from inner_service import Inside
from pydantic import SecretStr

from api.app import create_app
from api.security.rate_limits import RateLimits
from cluster.domain.session import DesiredState, SessionRecord
from cluster.settings import FrontSettings, HttpSettings, JwtSettings, Settings
from cluster.stores import Stores


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


@pytest_asyncio.fixture
async def inside() -> AsyncIterator[Inside]:
    service, app = Inside(), web.Application()
    app.router.add_route("*", "/{any:.*}", service.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    listening = socket.socket(socket.AF_INET6)
    listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    listening.bind(("::", 0))
    await web.SockSite(runner, listening).start()
    service.port = listening.getsockname()[1]
    yield service
    await runner.cleanup()
