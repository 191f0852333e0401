"""WAHA's patience: a request that comes while a session starts waits a little for it.

WAHA waits up to five seconds for the status a request needs (manager.abc.ts, waitUntilStatus);
clients rely on it when they create a session and ask for its QR code at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from cluster.domain.errors import SessionNotWorking
from cluster.domain.session import SessionStatus

__all__ = ["wait_for_status"]

T = TypeVar("T")

TIMEOUT = timedelta(seconds=5)
_INTERVAL = 0.2


async def wait_for_status(call: Callable[[], Awaitable[T]], *, timeout: timedelta = TIMEOUT) -> T:
    """The result of `call`, which is repeated while it is refused because the session is on its
    way: STARTING, or in an expected status whose code has not been written yet. Raises its last
    error when patience ends."""
    deadline = time.monotonic() + timeout.total_seconds()
    while True:
        try:
            return await call()
        except SessionNotWorking as error:
            if not _is_passing(error) or time.monotonic() + _INTERVAL > deadline:
                raise
        await asyncio.sleep(_INTERVAL)


def _is_passing(error: SessionNotWorking) -> bool:
    status = error.fields.get("status")
    return status == SessionStatus.STARTING or status in error.fields.get("expected", ())
