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

from cluster.domain.errors import Conflict, GatewayError, SessionNotWorking
from cluster.domain.session import SessionStatus

__all__ = ["once_started"]

T = TypeVar("T")

PATIENCE = timedelta(seconds=5)
_INTERVAL = 0.2


async def once_started(
    call: Callable[[], Awaitable[T]],
    *,
    also: type[Conflict] | None = None,
    patience: timedelta = PATIENCE,
) -> T:
    """The result of `call`, which is repeated while it is refused because the session is
    STARTING, or with an error of class `also`. Raises its last error when patience ends."""
    deadline = time.monotonic() + patience.total_seconds()
    while True:
        try:
            return await call()
        except (SessionNotWorking, Conflict) as error:
            passing = _is_starting(error) or (also is not None and isinstance(error, also))
            if not passing or time.monotonic() + _INTERVAL > deadline:
                raise
        await asyncio.sleep(_INTERVAL)


def _is_starting(error: GatewayError) -> bool:
    return (
        isinstance(error, SessionNotWorking)
        and error.fields.get("status") == SessionStatus.STARTING
    )
