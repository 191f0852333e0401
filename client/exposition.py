"""The cluster's figures in Prometheus' text form, read from the stores: any replica answers for
the whole cluster. Labels are few and bounded: statuses, stores and nodes, never sessions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from cluster.domain.errors import Unavailable
from cluster.stores import Stores
from cluster.telemetry.metrics.meter import LATENCY_BUCKETS

__all__ = ["exposition"]

#: Column of `MetricsStore.totals` → name and help.
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
    "takeovers": ("gateway_takeovers", "Claims from an owner that had not let go."),
    "renewals": ("gateway_lease_renewals", "Renewals of leases."),
}


#: What processes count: name in `Meter` → name, help and label.
_COUNTED = {
    "messages": ("gateway_messages", "Messages: in, out, failed for good.", "direction"),
    "store_errors": ("gateway_store_errors", "Calls that a store did not answer.", "store"),
    "values_refused": (
        "gateway_values_refused",
        "Statements whose values PostgreSQL does not take.",
        "",
    ),
    "events_failed": (
        "gateway_events_failed",
        "Events of sessions whose handling failed, by what they are.",
        "kind",
    ),
    "events_late": (
        "gateway_events_late",
        "Events that the library emitted after its session had let go: WhatsApp sends them again.",
        "kind",
    ),
    "events_quarantined": (
        "gateway_events_quarantined",
        "What arrived and could not be understood or recorded, by what the library calls it.",
        "kind",
    ),
    "sessions_broken": (
        "gateway_sessions_broken",
        "Sessions of which a part ended unexpectedly: they were started anew.",
        "",
    ),
    "webhook_deliveries": ("gateway_webhook_deliveries", "Tries to deliver.", "outcome"),
    "webhook_retries": ("gateway_webhook_retries", "Tries after the first one.", ""),
    "checkpoint_failures": ("gateway_checkpoint_failures", "Checkpoints not written.", ""),
    "process_starts": (
        "gateway_process_starts",
        "Starts of processes that host sessions: forked, plain.",
        "how",
    ),
    "work_errors": (
        "gateway_work_errors",
        "Errors in work that goes on for as long as its process, which began it again.",
        "work",
    ),
}
_HISTOGRAMS = {
    "send_latency": (
        "gateway_send_latency_seconds",
        "From the acceptance of a send to WhatsApp's acknowledgement.",
    ),
    "checkpoint_lag": (
        "gateway_checkpoint_lag_seconds",
        "From a change of a device store to the checkpoint that has it.",
    ),
    "webhook_lag": (
        "gateway_webhook_lag_seconds",
        "From an event to its delivery.",
    ),
}
#: Labels that are reported before anything was counted, so that rates begin at zero.
_LABELS = {
    "messages": ("in", "out", "failed"),
    "store_errors": ("postgresql", "redis", "s3"),
    "webhook_deliveries": ("delivered", "failed"),
    "process_starts": ("forked", "plain"),
    "work_errors": ("heartbeat", "backend", "leftovers", "spares", "cut-off", "vitals"),
}
#: A gauge that was not reported for so long is of a process that is gone.
_FRESH = timedelta(seconds=45)


class _Read(Collector):
    def __init__(self, found: list[Metric]) -> None:
        self._found = found

    def collect(self) -> Iterator[Metric]:
        yield from self._found


async def exposition(stores: Stores) -> bytes:
    """The text. While PostgreSQL is unreachable it says that, and nothing else."""
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
    for row in await stores.metrics.sessions():
        sessions.add_metric([row["status"], row["desired"]], row["count"])
    slots = GaugeMetricFamily("gateway_node_slots", "Sessions a node takes.", labels=["node"])
    used = GaugeMetricFamily("gateway_node_sessions", "Sessions it owns.", labels=["node"])
    for worker in await stores.workers.list():
        slots.add_metric([worker.name], worker.slots)
        used.add_metric([worker.name], worker.sessions)
    totals = await stores.metrics.totals()
    gauges = [GaugeMetricFamily(*about, value=totals[name]) for name, about in _GAUGES.items()]
    counters = [
        CounterMetricFamily(*about, value=totals[name]) for name, about in _COUNTERS.items()
    ]
    found = [sessions, slots, used, *gauges, *counters]
    found += _counted(await stores.metrics.counted())
    found += _promises(await stores.cache.library())
    return found + _present(await stores.metrics.present(_FRESH), used)


def _counted(counted: dict[tuple[str, str], float]) -> list[Metric]:
    """Counters and histograms of what processes wrote down."""
    found: list[Metric] = []
    for name, (metric, about, label) in _COUNTED.items():
        family = CounterMetricFamily(metric, about, labels=[label] if label else [])
        if not label:
            family.add_metric([], counted.get((name, ""), 0.0))
        for value in _LABELS.get(name, ()):
            family.add_metric([value], counted.get((name, value), 0.0))
        found.append(family)
    for name, (metric, about) in _HISTOGRAMS.items():
        buckets, up_to = [], 0.0
        for bound in LATENCY_BUCKETS:
            up_to += counted.get((name, f"{bound:g}"), 0.0)
            buckets.append((str(bound), up_to))
        buckets.append(("+Inf", counted.get((name, "count"), 0.0)))
        histogram = HistogramMetricFamily(metric, about)
        histogram.add_metric([], buckets=buckets, sum_value=counted.get((name, "sum"), 0.0))
        found.append(histogram)
    return found


def _promises(reports: list[dict[str, Any]]) -> list[Metric]:
    """What the libraries of processes keep."""
    kept = GaugeMetricFamily(
        "gateway_library_promise_kept",
        "Whether the WhatsApp library keeps a promise in every process (docs/promises.md).",
        labels=["promise"],
    )
    smaller = {name for facts in reports for name in facts["smaller"]}
    for name in sorted({name for facts in reports for name in facts["kept"]} | smaller):
        kept.add_metric([name], float(name not in smaller))
    return [kept]


def _present(present: dict[tuple[str, str], float], sessions: Metric) -> list[Metric]:
    """Gauges of what processes reported lately."""

    def of(name: str) -> dict[str, float]:
        return {source: value for (kind, source), value in present.items() if kind == name}

    lags, spools, memory = of("checkpoint_lag"), of("spool_depth"), of("session_memory")
    node_memory = GaugeMetricFamily(
        "gateway_node_session_memory_bytes",
        "Memory of a node's session processes.",
        labels=["node"],
    )
    per_session = GaugeMetricFamily(
        "gateway_node_memory_per_session_bytes",
        "The same for each of its sessions.",
        labels=["node"],
    )
    counts = {sample.labels["node"]: sample.value for sample in sessions.samples}
    for node, value in memory.items():
        node_memory.add_metric([node], value)
        if counts.get(node):
            per_session.add_metric([node], value / counts[node])
    return [
        GaugeMetricFamily(
            "gateway_checkpoint_lag_max_seconds",
            "Age of the oldest change of a device store that is in no checkpoint.",
            value=max(lags.values(), default=0.0),
        ),
        GaugeMetricFamily(
            "gateway_spool_depth",
            "Received messages that are on disk and not committed yet.",
            value=sum(spools.values()),
        ),
        node_memory,
        per_session,
    ]
