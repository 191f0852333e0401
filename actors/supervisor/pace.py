"""The pace of the supervisor's own starts."""

from __future__ import annotations

import asyncio
import random
import time

__all__ = ["Pace"]


class Pace:
    """Lets one after the other pass, so many a second on average, at uneven distances."""

    def __init__(self, per_second: float) -> None:
        self._distance = 1 / per_second
        self._next = 0.0

    async def turn(self) -> None:
        """Wait for the next turn."""
        now = time.monotonic()
        wait = self._next - now
        # Uneven: what beats in time with other clusters and clients would hit WhatsApp in bursts.
        step = self._distance * random.uniform(0.5, 1.5)  # noqa: S311 - nothing to guess here
        self._next = max(now, self._next) + step
        if wait > 0:
            await asyncio.sleep(wait)
