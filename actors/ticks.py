"""Periodic work of a process falls on the same moments: a process that slept is woken once for all
of it, and statements that sessions make at the same time share one."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

__all__ = ["until_tick"]

#: Of the golden ratio: processes with neighbouring ids are far from each other.
_SPREAD = 0.618


def until_tick(seconds: float, clock: Callable[[], float] = time.monotonic) -> float:
    """Seconds until the next of the moments that are `seconds` apart, which are this process's own:
    more than none, and `seconds` at most."""
    return seconds - (clock() + seconds * _SPREAD * os.getpid()) % seconds
