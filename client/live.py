"""Who waits for new events in this process, and what wakes them: one listener for all."""

from __future__ import annotations

import asyncio
from collections import defaultdict

from cluster.settings import StoreSettings
from cluster.stores.event_listener import EventListener

__all__ = ["SharedListener"]

#: Longest time that a lost notification can delay a reader.
_POLL_SECONDS = 2.0


class SharedListener:
    """Wakes readers. Belongs to one event loop; listens from the first reader on."""

    def __init__(self, settings: StoreSettings) -> None:
        self._listener = EventListener(settings)
        self._waiting: dict[int | None, set[asyncio.Future[None]]] = defaultdict(set)
        self._task: asyncio.Task[None] | None = None
        #: Notifications are counted: one that comes between polling and waiting is not missed.
        self._count = 0
        self._last: dict[int | None, int] = {}

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def mark(self) -> int:
        """Take this before looking for events, and give it to `changed`."""
        return self._count

    async def changed(self, session_id: int | None, since: int, *, seconds: float) -> bool:
        """Wait until a session (None: any) may have new events since the mark; False after
        `seconds`."""
        notified = max(self._last.get(session_id, 0), self._last.get(None, 0))
        if (self._count if session_id is None else notified) > since:
            return True
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._listen(), name="live-listener")
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[session_id].add(waiter)
        try:
            async with asyncio.timeout(seconds):
                await waiter
        except TimeoutError:
            return False
        finally:
            self._waiting[session_id].discard(waiter)
            if not self._waiting[session_id]:
                del self._waiting[session_id]
        return True

    async def _listen(self) -> None:
        async for sessions in self._listener.notifications(at_least_every=_POLL_SECONDS):
            self._count += 1
            if sessions is None:
                self._last.clear()
                self._last[None] = self._count
                keys = list(self._waiting)
            else:
                self._last |= dict.fromkeys(sessions, self._count)
                keys = [*sessions, None]
            for key in keys:
                for waiter in self._waiting.get(key, ()):
                    if not waiter.done():
                        waiter.set_result(None)
