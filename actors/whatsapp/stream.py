"""From the library's thread to the session: spooled first, understood after, handled in order.

The library acknowledges to WhatsApp whatever its callback does. So nothing that arrives may be
lost in the callback, and nothing that a peer sends may end the stream: what cannot be read, or
handled, goes to the session as `Unprocessed`, with its bytes, and the stream goes on.

On a busy machine the library may call after the stream has ended, or the spool was closed. Such a
call does not return: once it did, the library would note in its store that the message was dealt
with (whatsmeow message.go, `ClearBufferedEventPlaintext`), and acknowledge it unread when WhatsApp
sends it again. As it is, it reports it again.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NoReturn

import structlog

from actors.whatsapp.port import (
    EventSpool,
    HistoryArrived,
    SpoolClosedError,
    Unprocessed,
    WhatsAppEvent,
)
from cluster.domain.errors import NotOwner
from cluster.telemetry.metrics.meter import METER

__all__ = ["EventStream"]

log = structlog.get_logger(__name__)

#: Characters of an error that are kept.
_ERROR = 500


@dataclass(slots=True)
class _Item:
    """What waits to be handled, or who waits until those before were handled."""

    event: WhatsAppEvent | asyncio.Future[None]
    #: In the spool; 0: it is not there.
    ticket: int = 0
    #: What the library said: its code and its protobuf. Empty for events of our own.
    entry: bytes = b""


class EventStream:
    """One client's events. `said` is called in any thread, everything else in the loop."""

    def __init__(
        self,
        *,
        key: str,
        translate: Callable[[int, bytes], WhatsAppEvent | None],
        name: Callable[[int], str],
        kept: frozenset[int],
        complete: Callable[[WhatsAppEvent], Awaitable[WhatsAppEvent]],
        handle: Callable[[WhatsAppEvent, bytes], Awaitable[None]],
        spool: EventSpool | None = None,
        too_late: Callable[[], None] = lambda: None,
        never_return: Callable[[], NoReturn] | None = None,
    ) -> None:
        """`translate`: of a code and a protobuf, in the thread that calls `said`; `name`: what the
        library calls a code; `kept`: codes of what nobody sends again, kept in `spool` until
        `handle` returned, which is given the entry too; `complete` adds what only the loop can ask
        for; `too_late` is called, in the library's thread, for what comes after the end, and then
        `never_return`."""
        self._key = key
        self._translate = translate
        self._name = name
        self._kept = kept
        self._complete = complete
        self._handle = handle
        self._spool = spool
        self._events: asyncio.Queue[_Item | None] = asyncio.Queue()
        #: Parts of the history: large, and in no order with what happens now.
        self._histories: asyncio.Queue[_Item | None] = asyncio.Queue()
        #: How many events arrived.
        self.arrived = 0
        #: Set by the first event.
        self.begun = asyncio.Event()
        self._pumps: asyncio.Task[None] | None = None
        self._too_late = too_late
        self._never_return = never_return or _never_return
        self._ended = False

    def start(self, on_broken: Callable[[BaseException | None], None]) -> None:
        """Begin to hand over. `on_broken` is called when that ends before `end`."""
        self._pumps = asyncio.create_task(self._pump(), name=f"events:{self._key}")

        def ended(task: asyncio.Task[None]) -> None:
            if task.cancelled() or (error := task.exception()) is not None:
                on_broken(None if task.cancelled() else error)

        self._pumps.add_done_callback(ended)

    @property
    def started(self) -> bool:
        return self._pumps is not None

    def said(self, loop: asyncio.AbstractEventLoop, code: int, raw: bytes) -> None:
        """The library said this. Never raises: the library would not notice."""
        entry, ticket = bytes([code]) + raw, 0
        try:
            if self._spool is not None and code in self._kept:
                if self._ended:
                    raise SpoolClosedError(self._key)
                ticket = self._spool.add(entry)
            event = self._translate(code, raw)
        except SpoolClosedError:
            log.warning("whatsapp.came_too_late", key=self._key, code=code, size=len(raw))
            METER.count("events_late", self._name(code))
            self._too_late()
            self._never_return()
        except Exception as error:
            log.exception("whatsapp.not_understood", key=self._key, code=code, size=len(raw))
            event = self.unprocessed(entry, error)
        if event is None:
            if ticket and self._spool is not None:
                self._spool.done(ticket)
            return
        item = _Item(event, ticket, entry)
        loop.call_soon_threadsafe(self._take, item)
        if ticket and self._spool is not None:
            # While it is handled: the library acknowledges once this returns.
            self._spool.flush(ticket)

    def accept(self, event: WhatsAppEvent) -> None:
        """An event of our own."""
        self._take(_Item(event))

    def _take(self, item: _Item) -> None:
        self.begun.set()
        self.arrived += 1
        queue = self._histories if isinstance(item.event, HistoryArrived) else self._events
        queue.put_nowait(item)

    async def handled(self) -> None:
        """Return when what is here now was handled, parts of the history apart."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._events.put_nowait(_Item(waiter))
        await waiter

    async def end(self) -> None:
        """Handle what is here, and no more."""
        self._ended = True
        self._events.put_nowait(None)
        self._histories.put_nowait(None)
        if self._pumps is not None:
            # Its error, if there is one, was logged.
            await asyncio.wait({self._pumps})

    def unprocessed(self, entry: bytes, error: Exception) -> Unprocessed:
        """What becomes of an entry that could not be read or handled."""
        why = f"{type(error).__name__}: {error}"[:_ERROR]
        return Unprocessed(kind=self._name(entry[0]), entry=entry, error=why)

    async def _pump(self) -> None:
        async with asyncio.TaskGroup() as pumps:
            pumps.create_task(self._deliver(self._events))
            pumps.create_task(self._deliver(self._histories))

    async def _deliver(self, queue: asyncio.Queue[_Item | None]) -> None:
        while (item := await queue.get()) is not None:
            if isinstance(item.event, asyncio.Future):
                if not item.event.done():
                    item.event.set_result(None)
            elif await self._delivered(item.event, item.entry) and item.ticket and self._spool:
                self._spool.done(item.ticket)

    async def _delivered(self, event: WhatsAppEvent, entry: bytes) -> bool:
        """False: it stays in the spool, for whoever owns the session next."""
        try:
            await self._handle(await self._complete(event), entry)
        except NotOwner as error:
            log.info("whatsapp.left_to_the_owner", key=self._key, error=error.detail)
            return False
        except Exception as error:
            kind = type(event).__name__
            log.exception("whatsapp.event_failed", key=self._key, kind=kind)
            METER.count("events_failed", kind)
            if isinstance(event, Unprocessed) or not entry:
                return False
            return await self._delivered(self.unprocessed(entry, error), entry)
        return True


def _never_return() -> NoReturn:
    while True:
        threading.Event().wait()
