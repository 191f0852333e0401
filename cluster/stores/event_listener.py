"""Listening for the notifications of `cluster.stores.notifier`, over a connection of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import psycopg
import structlog

from cluster.settings import StoreSettings
from cluster.stores.notifier import DELIVERIES, EVENTS

__all__ = ["EVERY", "EventListener"]

log = structlog.get_logger(__name__)

#: Yielded after a pause or a broken connection: any session may have something new.
EVERY: frozenset[int] | None = None
_RECONNECT_SECONDS = 1.0
#: Seconds that the rest of a notification may take.
_PARTIAL = 0.1


class EventListener:
    """Which sessions have new events, as a stream that never ends."""

    def __init__(self, settings: StoreSettings, *, deliveries: bool = False) -> None:
        """`deliveries`: only of those that an endpoint of the session wants."""
        self._channel = DELIVERIES if deliveries else EVENTS
        self._url = settings.database_url.get_secret_value()

    async def notifications(self, *, at_least_every: float) -> AsyncIterator[frozenset[int] | None]:
        """Sessions with new events; `EVERY` (None) at the start, after a gap of the connection,
        and after `at_least_every` seconds without a word."""
        while True:
            with suppress(psycopg.OperationalError):
                async with await psycopg.AsyncConnection.connect(
                    self._url, autocommit=True, connect_timeout=5, application_name="gateway-events"
                ) as connection:
                    await connection.execute(f"LISTEN {self._channel}")
                    yield EVERY
                    while True:
                        if not await _readable(connection.fileno(), at_least_every):
                            yield EVERY
                            continue
                        async for notice in connection.notifies(timeout=_PARTIAL, stop_after=1):
                            yield _sessions(notice.payload)
            log.warning("events.listener_away")
            yield EVERY
            await asyncio.sleep(_RECONNECT_SECONDS)


async def _readable(socket: int, seconds: float) -> bool:
    """Whether something comes within so long. psycopg looks ten times a second by itself."""
    loop, comes = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(socket, comes.set)
    try:
        async with asyncio.timeout(seconds):
            return await comes.wait()
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(socket)


def _sessions(payload: str) -> frozenset[int] | None:
    if payload == "*":
        return EVERY
    return frozenset(int(part) for part in payload.split(",") if part)
