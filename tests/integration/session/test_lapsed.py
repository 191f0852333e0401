"""A status is as old as its owner's lease."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from pathlib import Path

import pytest
from unplugged import start
from waiting import stays

from actors.agent.lapsed import REASON, Lapsed
from actors.session.seen_leases import SeenLeases
from cluster.domain.errors import NotOwner
from cluster.domain.session import SessionRecord, SessionStatus
from cluster.settings import Settings
from cluster.stores import Stores

TTL = timedelta(seconds=5)
NODE = "a" * 56


class _Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def _seen(folder: Path, number: int = 0) -> SeenLeases:
    return SeenLeases(folder, f"node-{number}")


async def _owned(stores: Stores, record: SessionRecord) -> int:
    claim = await stores.ownership.claim(record.id, NODE, "holder", TTL)
    await stores.sessions.set_status(record.id, claim.epoch, SessionStatus.WORKING)
    return claim.epoch


async def _shown(stores: Stores, record: SessionRecord) -> tuple[SessionStatus, str]:
    found = await stores.sessions.get_by_id(record.id)
    return found.status, found.reason


async def test_a_session_that_nobody_owns_is_shown_as_starting_and_reported_once(
    stores: Stores, record: SessionRecord, tmp_path: Path
) -> None:
    clock = _Clock()
    agents = [Lapsed(stores, 60, _seen(tmp_path, n), clock) for n in range(2)]
    await _owned(stores, record)
    for clock.now in (0.0, 2.5, 5.0, 5.4):
        for agent in agents:
            await agent.once()
    assert await _shown(stores, record) == (SessionStatus.WORKING, "")
    for clock.now in (5.6, 6.6):
        for agent in agents:
            await agent.once()
    assert await _shown(stores, record) == (SessionStatus.STARTING, REASON)
    await stores.db.run(
        "UPDATE ownership SET lease_until = clock_timestamp() - interval '3 seconds' "
        "WHERE session_id = %(id)s",
        {"id": record.id},
    )
    assert await stores.ownership.ownerless() >= 1
    events = await stores.events.list(record.id, after=0, limit=100)
    emitted = [e for e in events if e.type == "session.status" and e.payload["reason"] == REASON]
    assert len(emitted) == 1


async def test_an_owner_that_renews_is_left_alone_whatever_the_servers_clock_says(
    stores: Stores, record: SessionRecord, tmp_path: Path
) -> None:
    clock = _Clock()
    agent = Lapsed(stores, 60, _seen(tmp_path), clock)
    epoch = await _owned(stores, record)
    for number in range(20):
        clock.now = number
        await stores.ownership.renew(record.id, epoch, TTL)
        # As if the clock had been set ahead: by it, the lease is long over.
        await stores.db.run(
            "UPDATE ownership SET lease_until = lease_until - interval '1 hour' "
            "WHERE session_id = %(id)s",
            {"id": record.id},
        )
        await agent.once()
    assert await _shown(stores, record) == (SessionStatus.WORKING, "")


async def test_who_claims_meanwhile_is_not_touched(
    stores: Stores, record: SessionRecord, tmp_path: Path
) -> None:
    clock = _Clock()
    agent = Lapsed(stores, 60, _seen(tmp_path), clock)
    await _owned(stores, record)
    await agent.once()
    (lease,) = [one for one in await stores.ownership.leases() if one.session_id == record.id]
    epoch = await _owned(stores, record)
    assert not await stores.sessions.lapsed(record.id, lease, REASON, 60)
    assert await _shown(stores, record) == (SessionStatus.WORKING, "")
    assert await stores.ownership.newest_epoch(record.id) == epoch


async def test_what_nobody_renews_is_written_down_for_successors(
    stores: Stores, record: SessionRecord, tmp_path: Path
) -> None:
    clock = _Clock()
    seen = _seen(tmp_path)
    agent = Lapsed(stores, 60, seen, clock)
    epoch = await _owned(stores, record)

    async def version() -> int:
        (lease,) = [one for one in await stores.ownership.leases() if one.session_id == record.id]
        return lease.version

    for clock.now in (1.0, 2.0, 3.0):
        await stores.ownership.renew(record.id, epoch, TTL)
        await agent.once()
        assert seen.since(record.id, await version()) is None, "it is renewed"
    for clock.now in (4.0, 5.0, 6.0, 20.0):
        await agent.once()
        assert seen.since(record.id, await version()) == 3.0
    assert (await _shown(stores, record))[0] is SessionStatus.STARTING
    assert _seen(tmp_path, 1).since(record.id, await version()) is None, "of another node"
    # A renewal that arrives late after all is another version.
    await stores.ownership.renew(record.id, epoch, TTL)
    assert seen.since(record.id, await version()) is None
    claim = await stores.ownership.claim(record.id, NODE, "another", TTL)
    assert claim.previous_version > 0
    assert seen.since(record.id, claim.previous_version) is None
    for clock.now in (21.0, 22.0):
        await agent.once()
    again = await stores.ownership.claim(record.id, NODE, "a third", TTL)
    assert seen.since(record.id, again.previous_version) == 21.0
    assert again.connect_after == TTL, "the row has it whole"


async def test_a_successor_waits_for_what_is_left_of_a_lease_that_was_seen(
    stores: Stores, record: SessionRecord, settings: Settings
) -> None:
    settings.lease = settings.lease.model_copy(update={"one_machine": False})
    whole = timedelta(seconds=60)
    await stores.ownership.claim(record.id, "gone", "elsewhere/1/2/3", whole)
    (lease,) = [one for one in await stores.ownership.leases() if one.session_id == record.id]
    seen = SeenLeases(settings.data_dir, "here")
    seen.write({record.id: (lease.version, time.monotonic() - 58)})
    began = time.monotonic()
    running = start(record, stores, settings)
    await running.works()
    assert 1.9 < time.monotonic() - began < 30
    seen.write({})
    assert not list(settings.data_dir.glob("leases-*"))
    running.session.stop()
    await running.task

    await stores.ownership.claim(record.id, "gone", "elsewhere/1/2/3", whole)
    # The version that it has is another one: nothing is known of it.
    again = start(record, stores, settings)
    await stays(lambda: not again.clients, 4)
    again.session.stop()
    await again.task


async def test_who_goes_on_owns_only_what_nobody_owned_since(
    stores: Stores, record: SessionRecord, settings: Settings
) -> None:
    """As a node that was cut off and is back, while its sessions are elsewhere."""
    first = await stores.ownership.claim(record.id, "here", "elsewhere/1/2/3", TTL)
    newer = await stores.ownership.claim(record.id, "there", "elsewhere/1/2/4", TTL)
    running = start(record, stores, settings, owned_before=first.epoch)
    ended = await asyncio.wait_for(running.task, 20)
    assert (ended.how, running.clients) == ("fenced", [])
    assert await stores.ownership.newest_epoch(record.id) == newer.epoch
    with pytest.raises(NotOwner):
        await stores.ownership.claim(record.id, "here", "h", TTL, since=first.epoch)
    claim = await stores.ownership.claim(record.id, "here", "h", TTL, since=newer.epoch)
    assert claim.epoch == newer.epoch + 1
