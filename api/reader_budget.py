"""How much a reader of a live stream may be sent before it has to show that it reads.

Behind Ray Serve what a replica sends is taken by the proxy whether the reader reads or not: a
socket that is full is not felt here. So what may wait for one reader is bounded by what is sent.
"""

from __future__ import annotations

import time
from collections import deque

__all__ = ["Window"]


class Window:
    """Bytes sent within the last seconds: more than `most` is more than a reader is given.

    A reader that does not read at all is closed by the proxy's own pings before long; until then no
    more than `most` waits for it in each window.
    """

    def __init__(self, *, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self._sent: deque[tuple[float, int]] = deque()
        self._total = 0

    def take(self, size: int) -> bool:
        """Count what is to be sent now; False when it would be too much. One that is larger than
        the window is let through into an empty one."""
        now = time.monotonic()
        while self._sent and self._sent[0][0] <= now - self._seconds:
            self._total -= self._sent.popleft()[1]
        if self._sent and self._total + size > self._most:
            return False
        self._sent.append((now, size))
        self._total += size
        return True
