"""A status is as old as its owner's lease."""

from __future__ import annotations

from datetime import timedelta

from actors.agent.lapsed import REASON, Lapsed
from cluster.domain.session import SessionRecord, SessionStatus
from cluster.stores import Stores

TTL = timedelta(seconds=5)
NODE = "a" * 56


class _Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def _owned(stores: Stores, record: SessionRecord) -> int:
    claim = await stores.ownership.claim(record.id, NODE, "holder", TTL)
    await stores.sessions.set_status(record.id, claim.epoch, SessionStatus.WORKING)
    return claim.epoch


async def _shown(stores: Stores, record: SessionRecord) -> tuple[SessionStatus, str]:
    found = await stores.sessions.get_by_id(record.id)
    return found.status, found.reason


async def test_a_session_that_nobody_owns_is_shown_as_starting_and_reported_once(
    stores: Stores, record: SessionRecord
) -> None:
    clock = _Clock()
    agents = [Lapsed(stores, 60, clock) for _ in range(2)]
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
    stores: Stores, record: SessionRecord
) -> None:
    clock = _Clock()
    agent = Lapsed(stores, 60, clock)
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


async def test_who_claims_meanwhile_is_not_touched(stores: Stores, record: SessionRecord) -> None:
    clock = _Clock()
    agent = Lapsed(stores, 60, clock)
    await _owned(stores, record)
    await agent.once()
    (lease,) = [
        one for one in await stores.ownership.leases_of_working() if one.session_id == record.id
    ]
    epoch = await _owned(stores, record)
    assert not await stores.sessions.lapsed(record.id, lease, REASON, 60)
    assert await _shown(stores, record) == (SessionStatus.WORKING, "")
    assert await stores.ownership.newest_epoch(record.id) == epoch
