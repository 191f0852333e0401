"""A server that looks once a second whether it is to end."""

from __future__ import annotations

import asyncio
import email.utils
import time

import httpx
import pytest
import uvicorn

from ops.embedded.process import free_ports
from ops.ingress.replica import tick_seldom


async def _app(scope: object, receive: object, send: object) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})  # type: ignore[operator]
    await send({"type": "http.response.body"})  # type: ignore[operator]


async def test_it_answers_with_the_date_and_ends_when_it_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(uvicorn.Server, "main_loop", uvicorn.Server.main_loop)
    tick_seldom()
    (port,) = free_ports(1)
    server = uvicorn.Server(uvicorn.Config(_app, port=port, lifespan="off", log_config=None))
    ticks: list[int] = []
    on_tick = server.on_tick

    async def counted(tick: int) -> bool:
        ticks.append(tick)
        return await on_tick(tick)

    monkeypatch.setattr(server, "on_tick", counted)
    began = time.monotonic()
    serving = asyncio.create_task(server.serve())
    async with asyncio.timeout(30):
        while not server.started:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.01)
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"http://127.0.0.1:{port}/")
        told = email.utils.parsedate_to_datetime(answer.headers["date"]).timestamp()
        assert abs(time.time() - told) < 30
        server.should_exit = True
        await asyncio.wait_for(serving, 30)
    assert len(ticks) <= 3 + 2 * (time.monotonic() - began)
    assert all(tick % 10 == 0 for tick in ticks)
