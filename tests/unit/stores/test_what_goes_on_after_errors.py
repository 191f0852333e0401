"""Hints and figures go on after an error that nobody foresaw."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from cluster.stores.notifier import EventNotifier
from cluster.telemetry.metrics import flush as flush
from cluster.telemetry.metrics.meter import Meter


class Database:
    """Fails the first time, in a way of its own."""

    def __init__(self) -> None:
        self.asked = 0

    async def run(self, *_: Any) -> int:
        self.asked += 1
        if self.asked == 1:
            raise ZeroDivisionError
        return 1

    async def add(self, *_: Any) -> None:
        await self.run()


async def test_a_hint_follows_one_that_failed() -> None:
    database = Database()
    notifier = EventNotifier(cast(Any, database))
    notifier.notify(1)
    await notifier.close()
    notifier.notify(1)
    await notifier.close()
    assert database.asked == 2


async def test_figures_are_flushed_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flush, "_EVERY", 0.01)
    database = Database()
    task = asyncio.create_task(flush.flush_forever(cast(Any, database)))
    async with asyncio.timeout(10):
        while database.asked < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert not task.done()
    task.cancel()


def test_a_name_may_be_counted_and_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray's exporter takes one kind of figure for a name."""
    exported: list[tuple[str, str, float]] = []

    class Metric:
        def __init__(self, name: str, **_: Any) -> None:
            self.name = name

    class Counter(Metric):
        def inc(self, value: float, **_: Any) -> None:
            exported.append(("total", self.name, value))

    class Gauge(Metric):
        def set(self, value: float) -> None:
            exported.append(("gauge", self.name, value))

    monkeypatch.setattr("ray.is_initialized", lambda: True)
    monkeypatch.setattr("ray.util.metrics.Counter", Counter)
    monkeypatch.setattr("ray.util.metrics.Gauge", Gauge)
    meter = Meter()
    meter.observe("lag", 0.2)
    meter.gauge("lag", "a", lambda: 2.0)
    meter.gauge("lag", "b", lambda: 3.0)
    flush._RayMetrics().export(meter.take())
    assert [one for one in exported if one[0] == "gauge"] == [
        ("gauge", "gateway_process_lag_max", 3.0)
    ]
    assert {one[1] for one in exported if one[0] == "total"} == {"gateway_process_lag"}
