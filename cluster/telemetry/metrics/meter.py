"""Counts what happens in this process; the stores add it up (`cluster.stores.metrics`).

Cheap where it is called: a dictionary under a lock. Names and labels are a fixed few, never
sessions, tenants or people.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

__all__ = ["LATENCY_BUCKETS", "METER", "Meter", "Snapshot"]

#: Upper bounds, seconds.
LATENCY_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_SUM, _COUNT = "sum", "count"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was counted since the last time."""

    #: (name, label) → how much was added.
    totals: Mapping[tuple[str, str], float]
    #: (name, source) → present value.
    gauges: Mapping[tuple[str, str], float]


@dataclass(slots=True)
class Meter:
    """One per process, for all its threads and loops."""

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _totals: dict[tuple[str, str], float] = field(default_factory=lambda: defaultdict(float))
    _gauges: dict[tuple[str, str], Callable[[], float]] = field(default_factory=dict)
    _reported: dict[tuple[str, str], float] = field(default_factory=dict)

    def count(self, name: str, label: str = "", by: float = 1.0) -> None:
        """`name` happened."""
        with self._lock:
            self._totals[name, label] += by

    def observe(self, name: str, seconds: float) -> None:
        """`name` took so long: a histogram by `LATENCY_BUCKETS`."""
        with self._lock:
            self._totals[name, _SUM] += seconds
            self._totals[name, _COUNT] += 1
            for bound in LATENCY_BUCKETS:
                if seconds <= bound:
                    self._totals[name, f"{bound:g}"] += 1
                    break

    def gauge(self, name: str, source: str, read: Callable[[], float] | None) -> None:
        """`read` gives the value of `name` at `source` from now on; None: it is over."""
        with self._lock:
            if read is None:
                self._gauges.pop((name, source), None)
            else:
                self._gauges[name, source] = read

    def take(self) -> Snapshot:
        """What was counted since the last `take`, which is then forgotten. A gauge that stays at
        zero is not reported: there are many of them."""
        with self._lock:
            totals, self._totals = dict(self._totals), defaultdict(float)
            reads = dict(self._gauges)
        values = {key: read() for key, read in reads.items()}
        gauges = {key: value for key, value in values.items() if value or self._reported.get(key)}
        self._reported = values
        return Snapshot(totals, gauges)

    def give_back(self, snapshot: Snapshot) -> None:
        """It could not be written: count it again."""
        with self._lock:
            for key, value in snapshot.totals.items():
                self._totals[key] += value


#: Of this process.
METER = Meter()
