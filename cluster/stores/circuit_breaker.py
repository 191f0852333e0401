"""A circuit breaker for a PostgreSQL whose packets get nowhere.

A network that swallows them says nothing: each call would wait for its whole time-out, and callers
of the front with it, while other machines serve. So a call that was not answered for a moment has a
TCP connection tried, sooner when the kernel has no acknowledgement of what was asked. A server that
is slow, or stands still, has a kernel that takes it; where none comes to be, calls under way end,
and further ones are refused at once until one does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Protocol

import structlog

from cluster.domain.errors import NotReached
from cluster.reach import acknowledged, connects, shut_down

__all__ = ["CircuitBreaker"]

log = structlog.get_logger(__name__)

#: Seconds without an answer, without an acknowledgement, after which the way is tried; bound on a
#: try.
_STALLED, _UNACKNOWLEDGED, _TIMEOUT = 0.5, 0.25, 0.25
#: Seconds between polls of calls under way; after a try.
_POLL_SECONDS, _PAUSE = 0.1, 0.3


class Wire(Protocol):
    """A connection of psycopg."""

    @property
    def closed(self) -> bool: ...

    @property
    def info(self) -> Address: ...

    def fileno(self) -> int: ...


class Address(Protocol):
    """Where a connection leads to; an empty host for a Unix socket."""

    @property
    def hostaddr(self) -> str: ...

    @property
    def port(self) -> int: ...


class CircuitBreaker:
    """Of one pool. Belongs to its event loop."""

    def __init__(self) -> None:
        #: The connection that was asked last, and where connections led to.
        self._last: Wire | None = None
        self._address = ("", 0)
        #: Calls under way, and those that wait for a connection; since when.
        self._under_way: dict[Wire, float] = {}
        self._waiting: dict[asyncio.Timeout, float] = {}
        #: Begins the watch, unless the calls have ended by then.
        self._timer: asyncio.TimerHandle | None = None
        self._watch: asyncio.Task[None] | None = None
        self._open = False

    @property
    def is_open(self) -> bool:
        """The server is not reached."""
        return self._open

    def check(self) -> None:
        """Raises `NotReached` while the server is not reached."""
        if self._open:
            self._begun()
            raise NotReached("PostgreSQL is not reached from here", retry_after=1)

    @asynccontextmanager
    async def waits(self, seconds: float) -> AsyncIterator[None]:
        """Around what waits for a connection, for so long. Raises `TimeoutError`."""
        async with asyncio.timeout(seconds) as scope:
            self._waiting[scope] = time.monotonic()
            self._begun()
            try:
                yield
            finally:
                del self._waiting[scope]
                self._ended()

    @contextmanager
    def asks(self, wire: Wire) -> Iterator[None]:
        """Around what asks the server over this connection."""
        self._last = wire
        self._under_way[wire] = time.monotonic()
        self._begun()
        try:
            yield
        finally:
            del self._under_way[wire]
            self._ended()

    async def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)

    def _begun(self) -> None:
        if self._timer is None and (self._watch is None or self._watch.done()):
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(_UNACKNOWLEDGED, self._begin_watch)

    def _ended(self) -> None:
        """A process that has nothing to do is not woken for what was answered."""
        if self._timer is not None and not (self._under_way or self._waiting):
            self._timer.cancel()
            self._timer = None

    def _begin_watch(self) -> None:
        self._timer = None
        self._watch = asyncio.create_task(self._poll(), name="circuit-breaker")

    async def _poll(self) -> None:
        """As long as calls are under way, or the server is not reached."""
        while self._open or self._under_way or self._waiting:
            if (self._open or self._stalled()) and self._where()[0]:
                # Refused calls get that answer, too.
                reached = await connects(*self._address, seconds=_TIMEOUT, refused=True)
                self._turn(not reached)
                await asyncio.sleep(_PAUSE)
            else:
                await asyncio.sleep(_POLL_SECONDS)

    def _stalled(self) -> bool:
        now = time.monotonic()
        return any(
            now - began >= _STALLED
            for began in (*self._under_way.values(), *self._waiting.values())
        ) or any(
            now - began >= _UNACKNOWLEDGED and _unacknowledged(wire)
            for wire, began in self._under_way.items()
        )

    def _where(self) -> tuple[str, int]:
        if self._last is not None and not self._last.closed:
            self._address = self._last.info.hostaddr, self._last.info.port
        return self._address

    def _turn(self, is_open: bool) -> None:
        if is_open is not self._open:
            self._open = is_open
            log.warning("database.not_reached" if is_open else "database.reached_again")
        if not is_open:
            return
        for wire in self._under_way:
            # Their calls end as if the server had closed: a cancellation would wait for it as well.
            if not wire.closed:
                shut_down(wire.fileno())
        for scope in self._waiting:
            scope.reschedule(0.0)


def _unacknowledged(wire: Wire) -> bool:
    """Whether the other machine's kernel has not taken all that was sent."""
    state = None if wire.closed else acknowledged(wire.fileno())
    return state is not None and state.missing > 0
