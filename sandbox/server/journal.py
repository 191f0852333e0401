"""What happened, for tests and people: a bounded list, and counters."""

from __future__ import annotations

import itertools
import time
from collections import Counter, deque
from collections.abc import Mapping
from typing import Any

import structlog

__all__ = ["Journal"]

log = structlog.get_logger(__name__)

_KEPT, _OVERLAPS = 5000, 100


class Journal:
    """Newest entries and counters; `unhandled` counts what got a polite empty answer."""

    def __init__(self) -> None:
        self.entries: deque[dict[str, Any]] = deque(maxlen=_KEPT)
        self.unhandled: Counter[str] = Counter()
        self.counters: Counter[str] = Counter()
        #: device -> most connections it ever had logged in at the same time
        self.most_connections: dict[str, int] = {}
        #: When a device had more than one, newest last. `seconds`: how long; None while it lasts.
        self.overlaps: deque[dict[str, Any]] = deque(maxlen=_OVERLAPS)
        self._numbers = itertools.count(1)

    def note(self, kind: str, **facts: Any) -> None:
        """Write something down."""
        self.counters[kind] += 1
        self.entries.append(
            {"number": next(self._numbers), "time": time.time(), "kind": kind, **facts}
        )

    def could_not_handle(self, what: str, stanza: str) -> None:
        """A stanza nobody is responsible for; logged the first time."""
        self.unhandled[what] += 1
        if self.unhandled[what] == 1:
            log.warning("sandbox.unhandled", what=what, stanza=stanza[:500])

    def connections(self, device: str, count: int) -> None:
        """How many connections a device has logged in now."""
        if count > self.most_connections.get(device, 0):
            self.most_connections[device] = count
        lasting = next(
            (o for o in self.overlaps if o["device"] == device and o["seconds"] is None), None
        )
        if count > 1 and lasting is None:
            self.overlaps.append({"device": device, "since": time.time(), "seconds": None})
        elif count < 2 and lasting is not None:
            lasting["seconds"] = time.time() - lasting["since"]

    def state(self) -> Mapping[str, Any]:
        return {
            "unhandled": dict(self.unhandled),
            "counters": dict(self.counters),
            "most_connections": dict(self.most_connections),
            "overlaps": list(self.overlaps),
        }
