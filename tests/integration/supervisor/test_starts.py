"""Who may start when: failures are counted by the next process, in PostgreSQL."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import replace
from datetime import timedelta

import pytest
from waiting import stays

from actors.hosts.admission import admitted
from cluster.domain.session import DesiredState, SessionRecord, SessionStatus
from cluster.domain.start_pause import StartPolicy
from cluster.settings import Settings, SupervisorSettings
from cluster.stores import Stores
from cluster.stores.starts import Admission
from cluster.stores.workers import NodeReport

NODE = "a" * 56
TTL = timedelta(seconds=5)
#: No pauses to wait for; the pace is tested by itself.
POLICY = StartPolicy(
    free=1, first=100, longest=1000, give_up_after=4, settled=60, per_second=10_000, burst=10_000
)


@pytest.fixture
async def node(stores: Stores) -> str:
    await stores.db.run("UPDATE start_pace SET next_at = '-infinity'", {})
    await stores.workers.replace([NodeReport(node=NODE, name="n1", address="127.0.0.1", slots=9)])
    return NODE


async def _crash(stores: Stores, record: SessionRecord, node: str) -> Admission:
    """A process begins, claims, and is never heard of again."""
    admission = await stores.starts.begin(record.id, node, POLICY)
    if not admission.given_up:
        await stores.ownership.claim(record.id, node, "holder", TTL)
    return admission


async def test_a_crash_loop_waits_longer_each_time_and_is_given_up(
    stores: Stores, record: SessionRecord, node: str
) -> None:
    seen = [await _crash(stores, record, node) for _ in range(5)]
    assert [a.failures for a in seen] == [0, 1, 2, 3, 4]
    waits = [a.wait for a in seen]
    assert waits[0] == waits[1] == 0, "the first failure is free"
    assert 49 < waits[2] <= 100 < 99 + waits[3] <= 300
    assert [a.given_up for a in seen] == [False, False, False, False, True]


async def test_a_process_that_dies_before_it_claims_counts_too(
    stores: Stores, record: SessionRecord, node: str
) -> None:
    seen = [await stores.starts.begin(record.id, node, POLICY) for _ in range(3)]
    assert [a.failures for a in seen] == [0, 1, 2]


async def test_what_is_not_the_sessions_fault_does_not_count(
    stores: Stores, record: SessionRecord, node: str
) -> None:
    await stores.starts.begin(record.id, node, POLICY)
    claim = await stores.ownership.claim(record.id, node, "holder", TTL)
    await stores.ownership.release(record.id, claim.epoch, clean=True)
    assert (await _crash(stores, record, node)).failures == 0, "it let go by itself"
    await stores.workers.replace([])
    assert (await _crash(stores, record, "b" * 56)).failures == 0, "its node went down"
    await stores.starts.forgive(record.id)
    assert (await _crash(stores, record, "b" * 56)).failures == 0, "the supervisor ended it"


async def test_a_session_that_worked_for_a_while_begins_anew(
    stores: Stores, record: SessionRecord, node: str
) -> None:
    for _ in range(3):
        await _crash(stores, record, node)
    epoch = await stores.ownership.newest_epoch(record.id)
    await stores.sessions.set_status(record.id, epoch, SessionStatus.WORKING)
    await asyncio.sleep(0.05)
    admission = await stores.starts.begin(record.id, node, replace(POLICY, settled=0.01))
    assert (admission.failures, admission.wait) == (1, 0)
    await stores.sessions.set_status(record.id, epoch, SessionStatus.STARTING)
    admission = await stores.starts.begin(record.id, node, replace(POLICY, settled=0.01))
    assert admission.failures == 2, "WORKING only counts while it lasts"


async def test_asking_for_the_session_forgives(
    stores: Stores, record: SessionRecord, node: str
) -> None:
    for _ in range(3):
        await _crash(stores, record, node)
    await stores.sessions.set_desired(record.id, DesiredState.RUNNING)
    assert (await _crash(stores, record, node)).failures == 0


async def test_starts_beyond_the_burst_are_paced_in_the_whole_cluster(
    stores: Stores, record: SessionRecord, node: str
) -> None:
    policy = replace(POLICY, per_second=10, burst=5, free=99, give_up_after=99)
    waits = [(await stores.starts.begin(record.id, node, policy)).wait for _ in range(25)]
    assert waits[:5] == [0] * 5
    assert 1.0 < waits[24] <= 2.0, "20 beyond the burst at 10 a second"


async def test_given_up_is_reported_with_the_reason(
    stores: Stores, record: SessionRecord, node: str, store_settings: Settings
) -> None:
    limits = SupervisorSettings(
        _env_file=os.devnull,  # type: ignore[call-arg, unused-ignore]
        free_failures=9,
        give_up_failures=2,
    )
    settings = Settings(stores=store_settings.stores, supervisor=limits)
    for _ in range(2):
        assert await admitted(stores, settings, record.id, node)
        await stores.starts.crashed(record.id, "no checkpoint can be restored")
    assert not await admitted(stores, settings, record.id, node)
    after = await stores.sessions.get_by_id(record.id)
    assert after.status is SessionStatus.FAILED
    assert after.reason == (
        "failed to start 2 times in a row, at last: no checkpoint can be restored"
    )
    (event,) = await stores.events.list(record.id, types=["session.status"])
    assert event.payload["status"] == "FAILED"
    assert event.payload["reason"] == after.reason


async def test_a_process_that_waits_for_its_turn_can_be_stopped(
    stores: Stores, record: SessionRecord, node: str, store_settings: Settings
) -> None:
    limits = SupervisorSettings(
        _env_file=os.devnull,  # type: ignore[call-arg, unused-ignore]
        free_failures=0,
        first_pause_seconds=100,
    )
    settings = Settings(stores=store_settings.stores, supervisor=limits)
    assert await admitted(stores, settings, record.id, node)
    waiting = asyncio.create_task(admitted(stores, settings, record.id, node))
    await stays(lambda: not waiting.done(), 0.3)
    began = time.monotonic()
    await stores.sessions.set_desired(record.id, DesiredState.STOPPED)
    assert not await waiting
    assert time.monotonic() - began < 2


async def test_nothing_begins_on_a_drained_node_by_name_or_id(
    stores: Stores, record: SessionRecord, node: str
) -> None:
    for drained in ("n1", node):
        await stores.drained.add(drained)
        assert (await stores.starts.begin(record.id, node, POLICY)).held
        (start,) = [s for s in await stores.starts.list() if s.session_id == record.id]
        assert start.held_on == node
        assert not (await stores.starts.begin(record.id, "b" * 56, POLICY)).held
        assert await stores.drained.remove(drained)
    assert not (await stores.starts.begin(record.id, node, POLICY)).held


async def test_a_node_that_alone_does_not_reach_whatsapp_takes_none(
    stores: Stores, record: SessionRecord, node: str
) -> None:
    other = "b" * 56
    nodes = [
        NodeReport(node=node, name="n1", address="10.0.0.1", slots=9),
        NodeReport(node=other, name="n2", address="10.0.0.2", slots=9),
    ]
    await stores.workers.replace(nodes)
    try:
        for one in (node, other):
            await stores.workers.report_alive(one)
        await stores.workers.report_whatsapp(node, True)
        assert {w.name: w.drained for w in await stores.workers.list()} == {"n1": True, "n2": False}
        assert (await stores.starts.begin(record.id, node, POLICY)).held
        # It is WhatsApp, or the world: nobody is better off elsewhere.
        await stores.workers.report_whatsapp(other, True)
        assert not any(w.drained for w in await stores.workers.list())
        assert not (await stores.starts.begin(record.id, node, POLICY)).held
    finally:
        for one in (node, other):
            await stores.workers.report_whatsapp(one, False)
        await stores.workers.replace(nodes[:1])
