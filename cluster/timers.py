"""Many timers of one length, nearly all of which are stopped in time: deadlines of requests, say.

One of the loop's serves them all: to make and cancel one of those costs as much as a small
request's handler.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType

__all__ = ["EqualTimers", "Timeout"]


class EqualTimers:
    """Used in one loop at a time."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        #: By number, which is their order: when each is due, and what is called then.
        self._running: dict[int, tuple[float, Callable[[], object]]] = {}
        self._newest = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._handle: asyncio.TimerHandle | None = None

    def start(self, call: Callable[[], object]) -> int:
        """Call it when the time has passed, unless what this returns is stopped before."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            # The loop before has ended, and nothing in it goes on.
            self._loop, self._handle = loop, None
            self._running.clear()
        self._newest += 1
        self._running[self._newest] = loop.time() + self._seconds, call
        if self._handle is None:
            self._handle = loop.call_later(self._seconds, self._fire)
        return self._newest

    def stop(self, timer: int) -> None:
        """Not any more; nothing when it was called already."""
        self._running.pop(timer, None)

    def _fire(self) -> None:
        loop, self._handle = asyncio.get_running_loop(), None
        now = loop.time()
        for timer, (due, _) in self._running.items():
            if due > now:
                self._handle = loop.call_at(due, self._fire)
                return
            # By itself: what it raises is its own.
            loop.call_soon(self._call, timer)

    def _call(self, timer: int) -> None:
        # Until now it could be stopped.
        if (found := self._running.pop(timer, None)) is not None:
            found[1]()


class Timeout:
    """As `asyncio.timeout`, of a length that others have too: `with Timeout(timers): …` raises
    `TimeoutError` when it was not done in time. In a task."""

    __slots__ = ("_cancelling", "_task", "_timer", "_timers", "expired")

    def __init__(self, timers: EqualTimers) -> None:
        self._timers = timers
        #: It took too long.
        self.expired = False

    def __enter__(self) -> Timeout:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - see above
        self._task, self._cancelling = task, task.cancelling()
        self._timer = self._timers.start(self._expire)
        return self

    def lift(self) -> None:
        """It may take as long as it takes."""
        self._timers.stop(self._timer)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._timers.stop(self._timer)
        if not self.expired:
            return
        # Who cancelled it as well has it cancelled; done all the same, or failed, it is that.
        only = self._task.uncancel() <= self._cancelling
        if only and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def _expire(self) -> None:
        self.expired = True
        self._task.cancel()
