"""Periodic work of a machine falls on the same moments: a processor that slept is woken once for
all of it, and statements that sessions make at the same time share one."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

__all__ = ["tick_apart", "until_tick"]

#: Of the golden ratio: processes with neighbouring ids are far from each other.
_SPREAD = 0.618
#: How far the moments of this process are from those of the machine, in parts of what is between.
_offset = 0.0


def tick_apart() -> None:
    """This process is one of many alike, which would all want the processor at once: it has moments
    of its own from now on."""
    global _offset
    _offset = _SPREAD * os.getpid() % 1


def until_tick(seconds: float, clock: Callable[[], float] = time.monotonic) -> float:
    """Seconds until the next of the moments that are `seconds` apart, which are the machine's, or
    after `tick_apart` this process's: more than none, and `seconds` at most."""
    return seconds - (clock() + seconds * _offset) % seconds
