"""Writes what this process counted to the stores now and then, and gives it to Ray's metrics."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from typing import Any, Protocol

import structlog

from cluster.domain.errors import Unavailable
from cluster.telemetry.metrics.meter import METER, Snapshot

__all__ = ["flush_forever"]

log = structlog.get_logger(__name__)

#: Seconds; half of it is chance, so that many processes do not write at once.
_EVERY = 10.0
_SHARDS = 8
_PREFIX = "gateway_process"


class MetricsSink(Protocol):
    async def add(self, snapshot: Snapshot, shard: int) -> None: ...


async def flush_forever(metrics: MetricsSink) -> None:
    """For ever. What cannot be written is kept and written later."""
    shard = os.getpid() % _SHARDS
    exported = _RayMetrics()
    while True:
        await asyncio.sleep(_EVERY * (0.5 + random.random() / 2))  # noqa: S311 - jitter
        try:
            snapshot = METER.take()
            await metrics.add(snapshot, shard)
            exported.export(snapshot)
        except Unavailable as error:
            METER.give_back(snapshot)
            log.debug("metrics.not_written", error=error.detail)
        except Exception:
            # Figures are lost; counting goes on.
            log.exception("metrics.failed")


class _RayMetrics:
    """The same figures at Ray's exporter of the node (`ray.util.metrics`), by process."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def export(self, snapshot: Snapshot) -> None:
        if "ray" not in sys.modules:
            return
        import ray
        from ray.util import metrics as ray_metrics

        if not ray.is_initialized():
            return
        for (name, label), value in snapshot.totals.items():
            metric = self._metric(ray_metrics.Counter, name, ("label",))
            metric.inc(value, tags={"label": label})
        most: dict[str, float] = {}
        for (name, _), value in snapshot.gauges.items():
            most[name] = max(value, most.get(name, value))
        for name, value in most.items():
            # A name of its own: there may be a total of the same.
            self._metric(ray_metrics.Gauge, f"{name}_max", ()).set(value)

    def _metric(self, kind: Any, name: str, tags: tuple[str, ...]) -> Any:
        if name not in self._made:
            self._made[name] = kind(f"{_PREFIX}_{name}", description=name, tag_keys=tags)
        return self._made[name]
