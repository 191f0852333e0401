"""Only the newest owner writes, and a successor knows how long its predecessor may still act."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
from owned_session import CHAT, TTL, Owned, incoming

from cluster.domain.errors import NotOwner, SessionNotFound
from cluster.domain.message import Ack, MessageFilter
from cluster.domain.session import DesiredState, SessionRecord, SessionStatus
from cluster.stores import Stores

NOW = datetime(2026, 1, 1, tzinfo=UTC)

WRITERS: dict[str, Callable[[Owned], Awaitable[object]]] = {
    "set_status": lambda o: o.stores.sessions.set_status(o.id, o.epoch, SessionStatus.FAILED),
    "accept": lambda o: o.accept("3EB0ZOMBIE00000000"),
    "mark_sent": lambda o: o.stores.outbox.mark_sent(o.id, o.epoch, "3EB0FIRST000000000", NOW),
    "mark_failed": lambda o: o.stores.outbox.mark_failed(
        o.id, o.epoch, "3EB0FIRST000000000", "no", 1
    ),
    "record_incoming": lambda o: o.stores.inbox.record_incoming(
        o.id, o.epoch, incoming("ZOMBIE0000000000"), "message"
    ),
    "record_receipt": lambda o: o.stores.inbox.record_receipt(
        o.id,
        o.epoch,
        chat=CHAT,
        message_ids=["3EB0FIRST000000000"],
        sender=CHAT,
        ack=Ack.READ,
        state=None,
        timestamp=NOW,
    ),
    "event": lambda o: o.stores.events.append(o.id, "session.status", {}, epoch=o.epoch),
    "checkpoint": lambda o: o.stores.checkpoints.commit(
        o.id,
        o.epoch,
        seq=1,
        kind="base",
        base_seq=1,
        object_key="k",
        size=1,
        sha256="00",
        key_id="a",
    ),
}


@pytest.mark.parametrize("writer", WRITERS)
async def test_a_zombie_owner_never_writes_after_takeover(owned: Owned, writer: str) -> None:
    await owned.accept("3EB0FIRST000000000")
    await owned.taken_over()

    with pytest.raises(NotOwner):
        await WRITERS[writer](owned)

    stores = owned.stores
    assert (await stores.sessions.get_by_id(owned.id)).status is SessionStatus.STARTING
    history = await stores.messages.list(owned.id, MessageFilter())
    assert [(m.message_id, m.ack) for m in history] == [("3EB0FIRST000000000", Ack.PENDING)]
    assert [r.message_id for r in await stores.outbox.pending(owned.id)] == ["3EB0FIRST000000000"]
    assert await stores.events.list(owned.id) == []
    assert await stores.checkpoints.rows(owned.id) == []


async def test_a_zombie_owner_cannot_keep_or_release_the_lease(owned: Owned) -> None:
    newer = await owned.taken_over()

    assert not await owned.stores.ownership.renew(owned.id, owned.epoch, TTL)
    assert not await owned.stores.ownership.release(owned.id, owned.epoch, clean=True)
    assert await owned.stores.ownership.renew(owned.id, newer, TTL)


async def test_concurrent_claims_never_share_an_epoch(
    stores: Stores, record: SessionRecord
) -> None:
    claims = await asyncio.gather(
        *(stores.ownership.claim(record.id, f"node-{n}", f"h{n}", TTL) for n in range(20))
    )

    assert sorted(c.epoch for c in claims) == list(range(1, 21))
    assert await stores.ownership.newest_epoch(record.id) == 20


async def test_a_successor_waits_for_the_lease_of_a_living_predecessor(owned: Owned) -> None:
    claim = await owned.stores.ownership.claim(owned.id, "node-b", "holder-b", timedelta(seconds=1))
    again = await owned.stores.ownership.claim(owned.id, "node-c", "holder-c", timedelta(seconds=1))

    assert claim.predecessor == "alive"
    assert claim.previous_holder == "holder-a"
    assert not claim.handed_over
    assert timedelta(seconds=25) < claim.connect_after <= TTL
    # A claim with a shorter lease does not cut short what the first owner was promised.
    assert timedelta(seconds=25) < again.connect_after <= TTL


@pytest.mark.parametrize("clean", [True, False])
async def test_a_released_session_is_taken_at_once(owned: Owned, clean: bool) -> None:
    assert await owned.stores.ownership.release(owned.id, owned.epoch, clean=clean)

    claim = await owned.stores.ownership.claim(owned.id, "node-b", "holder-b", TTL)

    assert claim.predecessor == "released"
    assert claim.connect_after == timedelta()
    assert claim.handed_over is clean


async def test_an_expired_lease_is_taken_at_once_but_not_trusted(
    stores: Stores, record: SessionRecord
) -> None:
    first = await stores.ownership.claim(record.id, "a", "a", timedelta())
    second = await stores.ownership.claim(record.id, "b", "b", TTL)

    assert first.predecessor == "none"
    assert second.predecessor == "expired"
    assert second.connect_after == timedelta()
    assert not second.handed_over


async def test_a_claim_of_an_unknown_session_is_refused(stores: Stores) -> None:
    with pytest.raises(SessionNotFound):
        await stores.ownership.claim(2**40, "a", "a", TTL)


@pytest.mark.parametrize("status", [SessionStatus.FAILED, SessionStatus.STOPPED])
async def test_wanting_it_running_lifts_failed_and_stopped(
    owned: Owned, status: SessionStatus
) -> None:
    if status is SessionStatus.STOPPED:
        await owned.stores.sessions.set_desired(owned.id, DesiredState.STOPPED)
    await owned.stores.sessions.set_status(owned.id, owned.epoch, status, reason="because")
    assert (await owned.stores.sessions.get_by_id(owned.id)).status is status

    await owned.stores.sessions.set_desired(owned.id, DesiredState.RUNNING)

    lifted = await owned.stores.sessions.get_by_id(owned.id)
    assert (lifted.status, lifted.reason) == (SessionStatus.STARTING, "")
