"""The cluster's figures in Prometheus' text form, read from the stores: any replica answers for
the whole cluster. Labels are few and bounded: statuses, stores and nodes, never sessions."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from cluster.domain.errors import Unavailable
from cluster.stores import Stores

__all__ = ["exposition"]

#: Column of `MeasureStore.totals` → name and help.
_GAUGES = {
    "ownerless": ("gateway_sessions_ownerless", "Sessions that shall run and have no live owner."),
    "outbox": ("gateway_outbox_depth", "Sends that were accepted and are not sent."),
    "outbox_age": ("gateway_outbox_oldest_seconds", "Age of the oldest of them."),
    "checkpoints": ("gateway_checkpoints", "Bases and deltas of checkpoints that are kept."),
    "checkpoint_bytes": ("gateway_checkpoint_bytes", "Their size."),
    "checkpoints_bad": ("gateway_checkpoints_bad", "Those that could not be read."),
    "webhooks_failing": ("gateway_webhooks_retrying", "Webhooks whose next event has failed."),
    "webhook_lag": ("gateway_webhook_lag_events", "Events that webhooks have not dealt with."),
    "dead_letters": ("gateway_webhook_dead_letters", "Dead letters that wait for somebody."),
    "breakers": ("gateway_webhook_breakers_open", "Receivers that are left alone for now."),
}
_COUNTERS = {
    "events": ("gateway_events", "Events of the sessions there are."),
    "sends": ("gateway_sends_accepted", "Sends accepted for the sessions there are."),
    "epochs": ("gateway_ownerships", "Starts and takeovers of the sessions there are."),
}


class _Read(Collector):
    def __init__(self, found: list[Metric]) -> None:
        self._found = found

    def collect(self) -> Iterator[Metric]:
        yield from self._found


async def exposition(stores: Stores) -> bytes:
    """The text. While PostgreSQL is away it tells that, and nothing else."""
    found = await _stores(stores)
    try:
        found += await _cluster(stores)
    except Unavailable:
        found += []
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Read(found))
    return generate_latest(registry)


async def _stores(stores: Stores) -> list[Metric]:
    up = GaugeMetricFamily("gateway_store_up", "Whether a store answers.", labels=["store"])
    took = GaugeMetricFamily(
        "gateway_store_ping_seconds", "How long it took to.", labels=["store"], unit="seconds"
    )
    for name, state in (await stores.health()).items():
        up.add_metric([name], float(state["ok"]))
        if state["ok"]:
            took.add_metric([name], state["latency_ms"] / 1000)
    return [up, took]


async def _cluster(stores: Stores) -> list[Metric]:
    sessions = GaugeMetricFamily(
        "gateway_sessions", "Sessions by status and desired state.", labels=["status", "desired"]
    )
    for row in await stores.measures.sessions():
        sessions.add_metric([row["status"], row["desired"]], row["count"])
    slots = GaugeMetricFamily("gateway_node_slots", "Sessions a node takes.", labels=["node"])
    used = GaugeMetricFamily("gateway_node_sessions", "Sessions it owns.", labels=["node"])
    for worker in await stores.workers.list():
        slots.add_metric([worker.name], worker.slots)
        used.add_metric([worker.name], worker.sessions)
    totals = await stores.measures.totals()
    gauges = [GaugeMetricFamily(*about, value=totals[name]) for name, about in _GAUGES.items()]
    counters = [
        CounterMetricFamily(*about, value=totals[name]) for name, about in _COUNTERS.items()
    ]
    return [sessions, slots, used, *gauges, *counters]
