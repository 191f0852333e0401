"""`/metrics`, for Prometheus."""

from __future__ import annotations

import asyncio
import time

from fastapi import Response

from api.gateway import Gateway
from api.params import GatewayDep
from api.problems import responses
from api.router import Router
from cluster.domain.errors import Forbidden, Unauthorized

__all__ = ["router"]

router = Router(tags=["🔍 Observability"], responses=responses(Unauthorized, Forbidden))

#: However many ask, the stores are asked this often.
_KEPT_SECONDS = 2.0


class _Kept:
    def __init__(self) -> None:
        self._text = b""
        self._until = float("-inf")
        self._reading = asyncio.Lock()

    async def text(self, gateway: Gateway) -> bytes:
        async with self._reading:
            if time.monotonic() >= self._until:
                self._text = await gateway.metrics()
                self._until = time.monotonic() + _KEPT_SECONDS
            return self._text


_kept = _Kept()


@router.get(
    "/metrics",
    operation_id="MetricsController_get",
    summary="Figures of the cluster for Prometheus",
    description="Takes the operator's key (`X-Api-Key`) or token (`Authorization: Bearer`). Ours.",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics(gateway: GatewayDep) -> Response:
    return Response(
        await _kept.text(gateway), media_type="text/plain; version=0.0.4; charset=utf-8"
    )
