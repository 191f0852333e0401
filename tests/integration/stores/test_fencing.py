"""Only the newest owner writes, and a successor knows how long its predecessor may still act."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
from owned_session import CHAT, TTL, Owned, incoming

from cluster.domain.errors import GatewayError, NotOwner, SessionNotFound
from cluster.domain.label import Label
from cluster.domain.message import Ack, MessageFilter
from cluster.domain.session import DesiredState, SessionRecord, SessionStatus
from cluster.stores import Stores

pytestmark = pytest.mark.attack

NOW = datetime(2026, 1, 1, tzinfo=UTC)

WRITERS: dict[str, Callable[[Owned], Awaitable[object]]] = {
    "set_status": lambda o: o.stores.sessions.set_status(o.id, o.epoch, SessionStatus.FAILED),
    "mark_sent": lambda o: o.stores.outbox.mark_sent(o.id, o.epoch, "3EB0FIRST000000000", NOW),
    "mark_failed": lambda o: o.stores.outbox.mark_failed(
        o.id, o.epoch, "3EB0FIRST000000000", GatewayError("no"), 1
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
    "checkpoints erased": lambda o: o.stores.checkpoints.delete_all(o.id, o.epoch),
    "checkpoints collected": lambda o: o.stores.checkpoints.delete(o.id, o.epoch, ["k"]),
    "checkpoint marked": lambda o: o.stores.checkpoints.set_bad(
        o.id, (1, 1), bad=True, epoch=o.epoch
    ),
    "device forgotten": lambda o: o.stores.forget_device(o.id, o.epoch),
    "label": lambda o: o.stores.labels.put(
        o.id, Label(id="1001", name="stale", color=1), epoch=o.epoch
    ),
    "label deleted": lambda o: o.stores.labels.delete(o.id, "1001", epoch=o.epoch),
    "label on a chat": lambda o: o.stores.labels.mark(
        o.id, "1001", CHAT, labeled=True, epoch=o.epoch
    ),
    "label off a chat": lambda o: o.stores.labels.mark(
        o.id, "1001", CHAT, labeled=False, epoch=o.epoch
    ),
    "sends of another account": lambda o: o.stores.outbox.disown(
        o.id, o.epoch, "4915199999@s.whatsapp.net"
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
    assert await stores.labels.list(owned.id) == []


async def test_a_zombie_owner_cannot_keep_or_release_the_lease(owned: Owned) -> None:
    newer = await owned.taken_over()

    assert await owned.stores.ownership.renew(owned.id, owned.epoch, TTL) is None
    assert not await owned.stores.ownership.release(owned.id, owned.epoch, clean=True)
    assert await owned.stores.ownership.renew(owned.id, newer, TTL) is not None


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
    assert claim.connect_after == TTL
    # A claim with a shorter lease does not cut short what the first owner was promised.
    assert again.connect_after == TTL


@pytest.mark.parametrize("clean", [True, False])
async def test_a_released_session_is_taken_at_once(owned: Owned, clean: bool) -> None:
    assert await owned.stores.ownership.release(owned.id, owned.epoch, clean=clean)

    claim = await owned.stores.ownership.claim(owned.id, "node-b", "holder-b", TTL)

    assert claim.predecessor == "released"
    assert claim.connect_after == timedelta()
    assert claim.handed_over is clean


async def test_a_successor_waits_a_whole_lease_whatever_the_server_s_clock_says(
    stores: Stores, record: SessionRecord
) -> None:
    first = await stores.ownership.claim(record.id, "a", "a", TTL)
    for step in ("1 hour", "-1 hour"):
        await stores.db.run(
            "UPDATE ownership SET lease_until = lease_until - %(step)s::interval "
            "WHERE session_id = %(id)s",
            {"id": record.id, "step": step},
        )
        second = await stores.ownership.claim(record.id, "b", "b", timedelta(seconds=1))
        assert second.connect_after == TTL
    assert first.predecessor == "none"
    assert first.connect_after == timedelta()
    assert not second.handed_over


async def test_one_that_only_waited_ends_nobody_s_waiting(owned: Owned) -> None:
    """It is dead, or let go: the first owner may be connected still."""
    ownership = owned.stores.ownership
    short = timedelta(seconds=1)

    second = await ownership.claim(owned.id, "b", "b", short)
    assert second.previous_was_free
    third = await ownership.claim(owned.id, "c", "c", short)
    assert not third.previous_was_free
    assert third.connect_after == TTL
    assert await ownership.release(owned.id, third.epoch, clean=True)
    fourth = await ownership.claim(owned.id, "d", "d", short)
    assert fourth.connect_after == TTL
    assert not fourth.handed_over

    assert await ownership.waited(owned.id, fourth.epoch)
    assert not await ownership.waited(owned.id, third.epoch)
    assert await ownership.release(owned.id, fourth.epoch, clean=True)
    fifth = await ownership.claim(owned.id, "e", "e", short)
    assert fifth.connect_after == timedelta()
    assert fifth.handed_over


async def test_after_a_restore_of_the_database_a_released_row_proves_nothing(owned: Owned) -> None:
    ownership = owned.stores.ownership
    assert await ownership.release(owned.id, owned.epoch, clean=True)
    await owned.stores.db.run(
        "UPDATE ownership SET life = 'of before' WHERE session_id = %(id)s", {"id": owned.id}
    )

    claim = await ownership.claim(owned.id, "b", "b", TTL)

    # Owners that this database does not know of ran since.
    assert claim.connect_after == TTL
    assert claim.previous_holder == ""
    assert not claim.handed_over


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
