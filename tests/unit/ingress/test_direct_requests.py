"""Requests that go from a replica's server straight to the application."""

from __future__ import annotations

import asyncio
import inspect
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import uvicorn
from ray.serve._private import http_util, replica
from starlette.types import Receive, Scope, Send
from waiting import until

from cluster.timers import EqualTimers
from ops.embedded.process import free_ports
from ops.ingress import direct_requests
from ops.ingress.direct_requests import Joined, answer_directly

App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Metrics:
    """Of a replica, as far as requests are counted there."""

    def __init__(self) -> None:
        self.ongoing = 0
        self.recorded: list[dict[str, Any]] = []

    def inc_num_ongoing_requests(self, _: object) -> None:
        self.ongoing += 1

    def dec_num_ongoing_requests(self, _: object) -> None:
        self.ongoing -= 1

    def record_request_metrics(self, **figures: object) -> None: ...

    def record_ingress_request_metrics(self, **figures: object) -> None:
        self.recorded.append(figures)


@asynccontextmanager
async def served(
    monkeypatch: pytest.MonkeyPatch, app: App, slots: int = 4
) -> AsyncIterator[tuple[str, Any]]:
    """The URL of a server that answers by a replica, and that replica."""

    async def usual(_: object, __: Scope, ___: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 418, "headers": []})
        await send({"type": "http.response.body"})

    async def main_loop(server: uvicorn.Server) -> None:
        await server.on_tick(0)
        await until(lambda: server.should_exit, 60)

    # The product's looks once a second whether it is to end.
    monkeypatch.setattr(uvicorn.Server, "main_loop", main_loop)
    replicas: Any = type("Replicas", (), {"_direct_ingress_asgi": usual})
    monkeypatch.setattr(replica, "Replica", replicas)
    monkeypatch.setattr(http_util, "RequestIdMiddleware", http_util.RequestIdMiddleware)
    answer_directly("direct")
    one = replicas()
    one._semaphore = asyncio.Semaphore(slots)
    one._metrics_manager = Metrics()
    one._user_callable_asgi_app = app
    one._deployment_id = SimpleNamespace(name="ingress", app_name="gateway")
    (port,) = free_ports(1)
    server = uvicorn.Server(
        uvicorn.Config(
            # As Serve does it, in http_util.py.
            http_util._apply_middlewares(one._direct_ingress_asgi, []),
            port=port,
            lifespan="off",
            log_config=None,
        )
    )
    serving = asyncio.create_task(server.serve())
    await until(lambda: server.started)
    try:
        yield f"http://127.0.0.1:{port}", one
    finally:
        server.should_exit = True
        await asyncio.wait_for(serving, 30)


async def echo(_: Scope, receive: Receive, send: Send) -> None:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    await send({"type": "http.response.start", "status": 201, "headers": []})
    await send({"type": "http.response.body", "body": body})


async def _answers(url: str, request: bytes, pieces: int) -> list[bytes]:
    """What comes on one connection, piece by piece as the kernel has them."""
    host, _, port = url.removeprefix("http://").partition(":")
    loop = asyncio.get_running_loop()
    with socket.create_connection((host, int(port))) as connection:
        connection.setblocking(False)
        await loop.sock_sendall(connection, request)
        async with asyncio.timeout(10):
            return [await loop.sock_recv(connection, 1 << 20) for _ in range(pieces)]


async def test_head_and_body_are_sent_together(monkeypatch: pytest.MonkeyPatch) -> None:
    async def pong(scope: Scope, _: Receive, send: Send) -> None:
        assert scope["state"]["direct"]
        body = scope["path"].encode()
        head = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": body})

    ask = "GET {} HTTP/1.1\r\nHost: a\r\n{}\r\n"
    async with served(monkeypatch, pong) as (url, _):
        (answer,) = await _answers(url, ask.format("/one", "").encode(), 1)
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.endswith(b"\r\n\r\n/one")
        both = ask.format("/one", "") + ask.format("/two", "Connection: close\r\n")
        answers = b"".join(await _answers(url, both.encode(), 2))
        assert answers.index(b"/one") < answers.index(b"/two"), "each after the one before"
        closed = await _answers(url, ask.format("/a", "Connection: close\r\n").encode(), 2)
        assert closed[0].endswith(b"/a")
        assert closed[1] == b"", "the server has closed it"


async def test_a_head_does_not_wait_for_its_body(monkeypatch: pytest.MonkeyPatch) -> None:
    going = asyncio.Event()

    async def live(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await going.wait()
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await send({"type": "http.response.body", "body": b"last"})

    async with (
        asyncio.timeout(10),
        served(monkeypatch, live) as (url, _),
        httpx.AsyncClient(trust_env=False) as http,
        http.stream("GET", url) as answer,
    ):
        assert answer.status_code == 200
        going.set()
        assert await answer.aread() == b"firstlast"


async def test_of_much_nothing_is_kept() -> None:
    class Sent(asyncio.Transport):
        def __init__(self) -> None:
            super().__init__()
            self.writes: list[bytes] = []
            self.left = False

        def writelines(self, pieces: Iterable[bytes | bytearray | memoryview]) -> None:
            self.writes.append(b"".join(pieces))

        def is_closing(self) -> bool:
            return self.left

    sent = Sent()
    joined = Joined(sent, asyncio.get_running_loop())
    joined.write(b"head")
    assert sent.writes == []
    joined.write(b"x" * 100_000)
    assert sent.writes == [b"head" + b"x" * 100_000], "whoever writes more waits for the client"
    joined.write(b"one")
    joined.write(b"two")
    await asyncio.sleep(0)
    assert sent.writes[1:] == [b"onetwo"]
    joined.write(b"nobody reads it")
    sent.left = True
    await asyncio.sleep(0)
    assert len(sent.writes) == 2


async def test_only_what_goes_the_usual_way_gets_an_id(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(monkeypatch, echo) as (url, _), httpx.AsyncClient(trust_env=False) as http:
        assert "x-request-id" not in (await http.get(url)).headers
        assert (await http.get(f"{url}/-/healthz")).headers.get_list("x-request-id") != []


def test_ray_has_what_is_replaced() -> None:
    assert inspect.iscoroutinefunction(replica.Replica._direct_ingress_asgi), "as Ray 2.60 has it"


async def test_the_application_answers_and_it_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(monkeypatch, echo) as (url, one), httpx.AsyncClient(trust_env=False) as http:
        answer = await http.post(url, content=b"x" * 300_000)
        assert (answer.status_code, answer.content) == (201, b"x" * 300_000)
        metrics = one._metrics_manager
        assert metrics.ongoing == 0
        assert not one._semaphore.locked()
        (figures,) = metrics.recorded
        assert (figures["status_code"], figures["is_error"]) == ("201", False)


async def test_what_has_to_wait_and_health_checks_go_the_usual_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    going = asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await going.wait()
        await echo(scope, receive, send)

    async with (
        served(monkeypatch, slow, slots=1) as (url, one),
        httpx.AsyncClient(trust_env=False) as http,
    ):
        assert (await http.get(f"{url}/-/healthz")).status_code == 418
        first = asyncio.create_task(http.get(url))
        await until(one._semaphore.locked)
        assert (await http.get(url)).status_code == 418
        going.set()
        assert (await first).status_code == 201


@pytest.mark.parametrize("body", [b"", b"read"])
async def test_a_long_request_ends_when_its_client_leaves(
    monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    monkeypatch.setattr(direct_requests, "_LONG_ONES", EqualTimers(0.05))
    began, ended = asyncio.Event(), asyncio.Event()

    async def endless(_: Scope, receive: Receive, __: Send) -> None:
        if body:
            await receive()
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with served(monkeypatch, endless) as (url, one):
        async with httpx.AsyncClient(trust_env=False) as http:
            asked = asyncio.create_task(http.post(url, content=body))
            async with asyncio.timeout(30):
                await began.wait()
            asked.cancel()
        async with asyncio.timeout(30):
            await ended.wait()
        await until(lambda: bool(one._metrics_manager.recorded))
        assert one._metrics_manager.ongoing == 0
        assert one._metrics_manager.recorded[0]["status_code"] == "499"


async def test_what_follows_a_long_requests_answer_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct_requests, "_LONG_ONES", EqualTimers(0.01))
    done = asyncio.Event()

    async def audited(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.1)
        await echo(scope, receive, send)
        await asyncio.sleep(0.1)
        done.set()

    async with served(monkeypatch, audited) as (url, one):
        async with httpx.AsyncClient(trust_env=False) as http:
            assert (await http.post(url, content=b"x")).status_code == 201
        await until(lambda: bool(one._metrics_manager.recorded))
        assert done.is_set()
        assert one._metrics_manager.recorded[0]["status_code"] == "201"


async def test_a_body_that_is_read_late_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct_requests, "_LONG_ONES", EqualTimers(0.01))

    async def late(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.1)
        await echo(scope, receive, send)

    async with served(monkeypatch, late) as (url, _), httpx.AsyncClient(trust_env=False) as http:
        assert (await http.post(url, content=b"late")).content == b"late"
        assert (await http.get(url)).status_code == 201


async def test_a_failure_of_the_application_gives_its_slot_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fails(*_: object) -> None:
        raise RuntimeError("as tests want it")

    async with served(monkeypatch, fails) as (url, one), httpx.AsyncClient(trust_env=False) as http:
        assert (await http.get(url)).status_code == 500
        assert one._metrics_manager.ongoing == 0
        assert one._semaphore._value == 4
