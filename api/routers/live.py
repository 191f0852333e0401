"""`/ws`: events over a websocket, as WAHA has it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import structlog
from fastapi import WebSocket
from starlette.websockets import WebSocketDisconnect, WebSocketState

from api.files import FilesUrl
from api.gateway import Gateway
from api.reader_budget import Window
from api.router import Router
from api.security.caller import gateway_of
from cluster.domain.cursor import EventCursor
from cluster.domain.errors import Conflict, GatewayError, Invalid, NotFound

__all__ = ["router"]

log = structlog.get_logger(__name__)

router = Router()

#: A client that takes nothing for so long is cut off. Behind Serve's proxy that is not felt: there
#: what may be sent within that time is bounded (`HTTP_LIVE_BYTES`).
_STALLED_SECONDS = 20.0
#: Close codes: 4001 is WAHA's for bad parameters, 1013 and 1011 are RFC 6455's registry.
_BAD, _INTERNAL, _TRY_LATER = 4001, 1011, 1013


@router.websocket("/ws")
async def events_over_websocket(socket: WebSocket, files: FilesUrl) -> None:
    """Query: `session` (`*`: all), `events` (repeated or with commas; `*`), `after` (resume behind
    an event's number; needs one session), `x-api-key`."""
    await socket.accept()
    gateway = gateway_of(socket)
    try:
        events = _wanted(gateway, socket, files.base)
    except GatewayError as error:
        await _close(socket, _BAD, error.detail)
        return
    gone = asyncio.create_task(_until_gone(socket), name="ws-reader")
    writer = asyncio.create_task(_send_events(socket, events), name="ws-writer")
    try:
        await asyncio.wait({gone, writer}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (gone, writer):
            task.cancel()
        await asyncio.gather(gone, writer, return_exceptions=True)


def _wanted(
    gateway: Gateway, socket: WebSocket, base_url: str
) -> AsyncIterator[dict[str, Any] | None]:
    query = socket.query_params
    kinds = [k for part in query.getlist("events") or ["*"] for k in part.split(",") if k]
    session, after = query.get("session") or "*", query.get("after")
    if session == "*":
        if after is not None:
            raise Invalid("after needs one session", field="after")
        return gateway.follow_all(types=kinds, base_url=base_url)
    start = EventCursor.parse(after, "after") if after is not None else None
    return gateway.session(session).events.follow(after=start, types=kinds, base_url=base_url)


async def _send_events(socket: WebSocket, events: AsyncIterator[dict[str, Any] | None]) -> None:
    last = ""
    window = Window(most=socket.app.state.live_bytes, seconds=_STALLED_SECONDS)
    try:
        async for event in events:
            if event is None:
                continue
            text = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
            if not window.take(len(text)):
                raise TimeoutError
            async with asyncio.timeout(_STALLED_SECONDS):
                await socket.send_text(text)
            last = f" {event['session']} {event['gateway']['seq']}"
    except TimeoutError:
        log.info("live.reader_too_slow", last=last)
        await _close(socket, _TRY_LATER, f"Too slow. Go on behind{last}")
    except (Conflict, Invalid, NotFound) as error:
        # A client that is asked to try again later would do so for ever.
        await _close(socket, _BAD, error.detail)
    except GatewayError as error:
        await _close(socket, _TRY_LATER, error.detail)
    except WebSocketDisconnect:
        log.debug("live.reader_gone")
    except Exception:
        # An event that nobody foresaw: its reader is notified, and so is the operator.
        log.exception("live.writer_failed", last=last)
        await _close(socket, _INTERNAL, f"The gateway failed. Go on behind{last}")


async def _until_gone(socket: WebSocket) -> None:
    """Clients say nothing; what they say is read and dropped, so that their leaving is seen."""
    with suppress(WebSocketDisconnect):
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                return


async def _close(socket: WebSocket, code: int, reason: str) -> None:
    if socket.application_state is WebSocketState.CONNECTED:
        # The reason of a close frame holds 123 bytes (RFC 6455, 5.5).
        text = reason.encode()[:120].decode("utf-8", "ignore")
        with suppress(WebSocketDisconnect, RuntimeError, TimeoutError):
            async with asyncio.timeout(1):
                await socket.close(code, text)
