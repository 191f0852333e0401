"""`/metrics` is true to the stores; the alert rules speak of metrics that exist and parse."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from owned_session import TTL, Owned
from prometheus_client.parser import text_string_to_metric_families

from client.exposition import exposition
from cluster.domain.session import DesiredState
from cluster.stores import Stores
from cluster.telemetry.metrics.meter import Meter

DEPLOY = Path(__file__).parents[3] / "deploy"
RULES = DEPLOY / "prometheus" / "alerts.yaml"
DASHBOARD = DEPLOY / "grafana" / "gateway.json"
PROMTOOL = shutil.which("promtool")


async def figures(stores: Stores) -> dict[tuple[str, ...], float]:
    text = (await exposition(stores)).decode()
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_sessions_and_stores_are_counted(
    stores: Stores, session_name: Callable[[], str]
) -> None:
    # Those of tests before would end meanwhile.
    await stores.db.run("UPDATE ownership SET lease_until = clock_timestamp()", {})
    before = await figures(stores)
    for _ in range(3):
        await stores.sessions.create("metrics", session_name(), {}, DesiredState.RUNNING)
    after = await figures(stores)
    starting = ("gateway_sessions", "RUNNING", "STARTING")
    assert after[starting] - before.get(starting, 0) == 3
    assert after["gateway_sessions_ownerless",] - before["gateway_sessions_ownerless",] == 3
    assert {after["gateway_store_up", name] for name in ("postgresql", "redis", "s3")} == {1.0}


async def test_what_the_library_does_not_keep_anywhere_is_reported(stores: Stores) -> None:
    facts = {"version": "0.5.2", "machine": "linux/x86_64", "kept": ["a", "b"], "smaller": {}}
    await stores.cache.library_put(facts)
    assert await stores.cache.library() == [facts]
    other = facts | {"machine": "linux/riscv64", "kept": ["a"], "smaller": {"b": "501 instead"}}
    await stores.cache.library_put(other)
    await stores.cache.library_put(other)
    reported = {one["machine"]: one for one in await stores.cache.library()}
    assert reported == {one["machine"]: one for one in (facts, other)}
    shown = await figures(stores)
    assert shown["gateway_library_promise_kept", "a"] == 1
    assert shown["gateway_library_promise_kept", "b"] == 0


async def test_no_session_is_a_label(stores: Stores, session_name: Callable[[], str]) -> None:
    name = session_name()
    await stores.sessions.create("metrics-tenant", name, {}, DesiredState.STOPPED)
    text = (await exposition(stores)).decode()
    assert name not in text
    assert "metrics-tenant" not in text


@pytest.mark.skipif(PROMTOOL is None, reason="promtool (Debian: prometheus) is not installed")
async def test_prometheus_takes_the_metrics_and_the_rules(stores: Stores) -> None:
    checks = {
        ("check", "metrics"): await exposition(stores),
        ("check", "rules", str(RULES)): b"",
        ("test", "rules", str(RULES.with_name("alerts_test.yaml"))): b"",
    }
    for command, text in checks.items():
        done = subprocess.run(  # noqa: ASYNC221
            [str(PROMTOOL), *command], input=text, capture_output=True, check=False
        )
        assert done.returncode == 0, (command, done.stdout.decode(), done.stderr.decode())


async def test_rules_and_dashboard_speak_of_metrics_that_exist(stores: Stores) -> None:
    known = {name for name, *_ in await figures(stores)} | {"gateway_node_slots"}
    known |= {"gateway_node_sessions", "gateway_sessions", "gateway_store_ping_seconds"}
    known |= {"gateway_node_session_memory_bytes", "gateway_node_memory_per_session_bytes"}
    rules = yaml.safe_load(RULES.read_text())["groups"]
    asked = [rule["expr"] for group in rules for rule in group["rules"]]
    panels = json.loads(DASHBOARD.read_text())["panels"]
    asked += [target["expr"] for panel in panels for target in panel.get("targets", ())]
    used = set(re.findall(r"\bgateway_\w+", " ".join(asked)))
    assert len(used) > 8
    assert used <= known, used - known


async def test_what_processes_count_is_added_up(stores: Stores) -> None:
    await stores.metrics.forget(timedelta(0))
    before = await figures(stores)
    for shard in (1, 2):
        meter = Meter()
        meter.count("messages", "in", 3)
        meter.observe("send_latency", 0.2)
        meter.observe("send_latency", 7.0)
        meter.gauge("checkpoint_lag", f"test-{shard}", lambda: 5.0)
        meter.gauge("spool_depth", f"test-{shard}", lambda: 0.0)
        snapshot = meter.take()
        await stores.metrics.add(snapshot, shard)
        assert not meter.take().totals, "reported once"
        meter.give_back(snapshot)
        assert meter.take().totals == snapshot.totals, "unless it could not be reported"
    after = await figures(stores)

    def grown(*sample: str) -> float:
        return after[sample] - before.get(sample, 0)

    assert grown("gateway_messages_total", "in") == 6
    assert grown("gateway_send_latency_seconds_bucket", "0.25") == 2
    assert grown("gateway_send_latency_seconds_bucket", "5.0") == 2
    assert grown("gateway_send_latency_seconds_bucket", "10.0") == 4
    assert grown("gateway_send_latency_seconds_bucket", "+Inf") == 4
    assert grown("gateway_send_latency_seconds_count") == 4
    assert grown("gateway_send_latency_seconds_sum") == pytest.approx(14.4)
    assert after["gateway_checkpoint_lag_max_seconds",] == 5.0
    assert after["gateway_spool_depth",] == 0


async def test_leases_count_renewals_and_takeovers(owned: Owned) -> None:
    before = await figures(owned.stores)
    await owned.stores.ownership.renew(owned.id, owned.epoch, TTL)
    epoch = await owned.taken_over()
    await owned.stores.ownership.waited(owned.id, epoch)
    await owned.stores.ownership.release(owned.id, epoch, clean=True)
    await owned.taken_over()
    after = await figures(owned.stores)
    renewals, takeovers = ("gateway_lease_renewals_total",), ("gateway_takeovers_total",)
    assert after[renewals] - before[renewals] == 1
    assert after[takeovers] - before[takeovers] == 1, "the second one had been let go"
