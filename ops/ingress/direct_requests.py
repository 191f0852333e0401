"""Requests that a replica takes at once go to the application without Serve's part around them.

Serve looks the route of each request up among all of ours, gives it two ids, and runs it in a task
of its own beside another one that waits for its client to leave (Ray 2.60, `_direct_ingress_asgi`
in serve/_private/replica.py): more than the application's own part of a request that computes
nothing. Its slots, its counts and its metrics stay as they are, these where somebody collects them;
what has to wait for a slot, its own health checks and WebSockets go Serve's way.

Around that Serve gives each request an id, and the answer the same (`RequestIdMiddleware` in
serve/_private/http_util.py): only what goes its way needs it, the application has ids of its own.
And uvicorn writes the head of an answer and its body one after the other, each a system call here
and a wake of HAProxy: what is there in the same turn of the loop goes together.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from functools import partial
from typing import Any

import structlog
from ray.serve._private import http_util, replica
from ray.serve._private.common import RequestMetadata, RequestProtocol
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cluster.timers import EqualTimers

__all__ = ["Body", "Joined", "answer_directly"]

log = structlog.get_logger(__name__)

#: A request that takes so many seconds is ended when its client leaves.
_LONG_ONES = EqualTimers(1.0)
#: Of an answer, at most so much is kept until the loop turns.
_KEPT_BYTES = 65_536
_HAS_BODY = {b"content-length", b"transfer-encoding"}
_LEFT = "499"


class Body:
    """A request's messages, which the application reads, and whether its client is still there."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._receive = receive
        self._kept: deque[Message] = deque()
        #: The answer is complete: from then on the server says that the client has left.
        self.answered = False
        #: All of the body was received, so that the next message is that the client has left.
        self._ended = not [
            name for name, value in scope["headers"] if name in _HAS_BODY and value != b"0"
        ]
        #: Whoever waits for that.
        self._waiting: asyncio.Event | None = None

    async def receive(self) -> Message:
        """The next message, for the application."""
        if self._kept:
            return self._kept.popleft()
        message = await self._receive()
        if not message.get("more_body", False):
            self._ended = True
            if self._waiting is not None:
                self._waiting.set()
        return message

    async def disconnected(self) -> None:
        """Until the client leaves. Takes nothing from the application."""
        if not self._ended:
            self._waiting = asyncio.Event()
            await self._waiting.wait()
        while (message := await self._receive())["type"] != "http.disconnect":
            self._kept.append(message)


class Joined:
    """An answer's transport: what is written in one turn of the loop is sent at once. Of much it
    keeps nothing: its writer is to wait for the client."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._kept: list[bytes] = []
        self._size = 0
        self._later: asyncio.Handle | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send it by the next turn of the loop."""
        if self._later is None:
            self._later = self._loop.call_soon(self.flush)
        self._kept.append(data)
        self._size += len(data)
        if self._size > _KEPT_BYTES:
            self.flush()

    def flush(self) -> None:
        """Send what is kept."""
        if self._later is not None:
            self._later.cancel()
            self._later = None
            kept, self._kept, self._size = self._kept, [], 0
            # Its client may have left meanwhile.
            if not self._transport.is_closing():
                self._transport.writelines(kept)

    def close(self) -> None:
        """Send what is kept, and close the connection."""
        self.flush()
        self._transport.close()


def answer_directly(mark: str) -> None:
    """In a replica, before it serves. The application finds `mark` in the state of a request that
    comes to it directly."""
    replicas: Any = replica.Replica
    module: Any = http_util
    with_id = getattr(module, "RequestIdMiddleware", None)
    usual = getattr(replicas, "_direct_ingress_asgi", None)
    if usual is None or with_id is None:
        log.warning("ingress.answers_indirectly", reason="this version of Ray serves otherwise")
        return
    counted = RequestMetadata(
        request_id="",
        internal_request_id="",
        is_direct_ingress=True,
        _request_protocol=RequestProtocol.HTTP,
    )

    # Without a dashboard there is nobody who would pass Ray's figures on (ops/local/ray_node.py).
    collected = os.environ.get("RAY_enable_metrics_collection") != "0"  # noqa: SIM112

    async def direct(self: Any, scope: Scope, receive: Receive, send: Send) -> None:
        if (
            scope["type"] != "http"
            or scope["path"].startswith("/-/")
            or self._semaphore.locked()
            or self._user_callable_asgi_app is None
        ):
            await with_id(partial(usual, self))(scope, receive, send)
            return
        await self._semaphore.acquire()
        metrics = self._metrics_manager
        metrics.inc_num_ongoing_requests(counted)
        begun, status, body = time.perf_counter(), "", Body(scope, receive)
        scope.setdefault("state", {})[mark] = True
        joined = _joined(send)

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            elif not message.get("more_body", False):
                body.answered = True
            await send(message)
            if body.answered and joined is not None:
                joined.flush()

        try:
            if await _call(self._user_callable_asgi_app, scope, body, sent):
                status = status or _LEFT
        finally:
            metrics.dec_num_ongoing_requests(counted)
            self._semaphore.release()
            if collected:
                _observe(self, scope, status, time.perf_counter() - begun)

    replicas._direct_ingress_asgi = direct
    module.RequestIdMiddleware = _AsItIs


class _AsItIs:
    """In place of Serve's middleware around all requests. uvicorn takes a method that is not in a
    class of its own for an application of ASGI 2."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


def _joined(send: Send) -> Joined | None:
    """The transport of an answer that uvicorn sends, if it is one."""
    cycle: Any = getattr(send, "__self__", None)
    transport = getattr(cycle, "transport", None)
    if transport is None:
        return None
    cycle.transport = Joined(transport, asyncio.get_running_loop())
    return cycle.transport  # type: ignore[no-any-return]


def _observe(of: Any, scope: Scope, status: str, seconds: float) -> None:
    """Serve's own figures of a request of the replica `of`."""
    metrics = of._metrics_manager
    failed = status[:1] in ("4", "5", "")
    route = getattr(scope.get("route"), "path", "/")
    took = seconds * 1000
    metrics.record_request_metrics(route=route, latency_ms=took, is_error=not status)
    metrics.record_ingress_request_metrics(
        protocol=RequestProtocol.HTTP,
        method=scope["method"],
        route=route,
        app_name=of._deployment_id.app_name,
        deployment_name=of._deployment_id.name,
        latency_ms=took,
        is_error=failed,
        status_code=status,
    )


async def _call(app: Any, scope: Scope, body: Body, send: Send) -> bool:
    """Call the application, and cancel it when its client leaves, which is watched of long requests
    only. Whether it did."""
    loop = asyncio.get_running_loop()
    caller = asyncio.current_task()
    assert caller is not None  # noqa: S101 - a server's task
    left = False
    watch: asyncio.Task[None] | None = None

    def end(done: asyncio.Task[None]) -> None:
        nonlocal left
        if not body.answered and not done.cancelled() and done.exception() is None:
            left = caller.cancel()

    def begin() -> None:
        nonlocal watch
        watch = loop.create_task(body.disconnected(), name="client of a request")
        watch.add_done_callback(end)

    timer = _LONG_ONES.start(begin)
    try:
        await app(scope, body.receive, send)
    except asyncio.CancelledError:
        if not left:
            raise
        caller.uncancel()
    finally:
        _LONG_ONES.stop(timer)
        if watch is not None:
            watch.remove_done_callback(end)
            watch.cancel()
    return left
