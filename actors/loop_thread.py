"""An event loop in a thread of its own: the side of an actor where its work is.

Ray runs each concurrency group of an async actor in a loop of its own, and its calls share theirs
with nothing that must not wait; so actor methods cross over to this one.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

import structlog

from actors.endless import endless

__all__ = ["CRASHED", "LoopThread"]

log = structlog.get_logger(__name__)
T = TypeVar("T")

#: Exit code of a process that is not fit to go on: Ray starts a fresh one.
CRASHED = 71


class LoopThread:
    """Runs for as long as the process. Nothing in it ends unnoticed: an error is its caller's
    (`call`), begins the work again (`keep`), or ends the process (`live_by`)."""

    def __init__(self, name: str, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """`name`: of the thread. `loop`: one that does not run yet; asyncio's without."""
        self._name = name
        self._loop = loop or asyncio.new_event_loop()
        #: A loop itself holds its tasks weakly.
        self._kept: list[Future[None]] = []
        threading.Thread(target=self._main, name=name, daemon=True).start()

    async def call(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Await `work()`, which is called there, from another loop. Raises what it raises; who is
        cancelled while he waits cancels it."""
        return await asyncio.wrap_future(self._submit(work))

    def call_soon(self, callback: Callable[[], object]) -> None:
        """Call it there; from any thread."""
        self._loop.call_soon_threadsafe(callback)

    def keep(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Work that goes on for as long as the process: see `endless`."""
        self._kept.append(self._submit(lambda: endless(name, work)))

    def live_by(
        self, work: Callable[[], Coroutine[Any, Any, None]], crashed: str, **facts: object
    ) -> Future[None]:
        """Work that the process is there for: an error in it is logged as `crashed`, and ends the
        process. The future is done when the work has ended by itself."""

        async def run() -> None:
            try:
                await work()
            except BaseException:
                log.exception(crashed, **facts)
                os._exit(CRASHED)

        life = self._submit(run)
        self._kept.append(life)
        return life

    def _submit(self, work: Callable[[], Coroutine[Any, Any, T]]) -> Future[T]:
        async def run() -> T:
            return await work()

        return asyncio.run_coroutine_threadsafe(run(), self._loop)

    def _main(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            # `SystemExit` in a task, for one. An actor without its loop would answer nobody.
            log.critical("loop.ended", thread=self._name, exc_info=True)
            os._exit(CRASHED)
