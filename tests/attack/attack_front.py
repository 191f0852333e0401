"""The HTTP front over real stores with two tenants, and no Ray behind it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import jwt
from fastapi import FastAPI

from client.gateway import Gateway
from cluster.settings import Settings
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
