"""What sending limits count comes from PostgreSQL, so that the next owner counts on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from owned_session import CHAT, Owned, incoming

from actors.session.pacing import SessionPacing
from cluster.domain.errors import NotOwner
from cluster.domain.pacing import PacePolicy
from cluster.domain.session import Me, SessionStatus

POLICY = PacePolicy(per_minute=1, burst=1, new_chats_per_day=1, jitter=0)
STRANGER = "4915100077@s.whatsapp.net"
GROUP = "120363000000000001@g.us"


async def opened(owned: Owned, epoch: int | None = None) -> SessionPacing:
    return await SessionPacing.open(
        POLICY, store=owned.stores.pacing, session_id=owned.id, epoch=epoch or owned.epoch
    )


async def test_a_takeover_neither_forgets_the_pace_nor_the_new_chats(owned: Owned) -> None:
    pacing = await opened(owned)
    assert pacing.wait() == 0
    assert await pacing.hold(CHAT) == 0, "the first new chat of the day"
    await owned.accept("3EB0AAAAAAAAAAAAAAAA01")
    await owned.stores.outbox.mark_sent(
        owned.id, owned.epoch, "3EB0AAAAAAAAAAAAAAAA01", datetime.now(UTC)
    )
    successor = await opened(owned, await owned.taken_over())
    assert 50 < successor.wait() <= 60
    assert await successor.hold(CHAT) == 0, "is known by now"
    assert await successor.hold(STRANGER) > 0, "there was one today"
    assert await successor.hold(GROUP) == 0, "groups are no new chats"
    with pytest.raises(NotOwner):
        await owned.stores.pacing.open(owned.id, owned.epoch, STRANGER)


async def test_whoever_wrote_first_is_no_new_chat(owned: Owned) -> None:
    await owned.accept("3EB0AAAAAAAAAAAAAAAA02")
    assert not await owned.stores.pacing.knows(owned.id, CHAT), "a message that waits says nothing"
    await owned.stores.inbox.record_incoming(owned.id, owned.epoch, incoming("IN1"))
    assert await owned.stores.pacing.knows(owned.id, CHAT)


async def test_the_queue_is_returned_in_order(owned: Owned) -> None:
    for n in range(3):
        await owned.accept(f"3EB0AAAAAAAAAAAAAAAA1{n}")
    waiting = await owned.stores.pacing.waiting(owned.id, 2)
    assert [one.message_id[-1] for one in waiting] == ["0", "1"]
    assert all(one.opens for one in waiting)
    assert await owned.stores.pacing.count_waiting(owned.id) == 3


async def test_a_device_is_as_young_as_its_link(owned: Owned) -> None:
    sessions = owned.stores.sessions
    facts = await owned.stores.pacing.facts(owned.id)
    assert facts.now - facts.linked_at < 60, "as old as the session, until a device is linked"
    await owned.stores.db.run(
        "UPDATE sessions SET created_at = created_at - %(age)s WHERE id = %(id)s",
        {"age": timedelta(days=30), "id": owned.id},
    )
    me = Me(id="4915100001@c.us")
    await sessions.set_status(owned.id, owned.epoch, SessionStatus.WORKING, me=me)
    linked = (await owned.stores.pacing.facts(owned.id)).linked_at
    assert facts.now - linked < 60
    await sessions.set_status(owned.id, owned.epoch, SessionStatus.STARTING, me=me)
    assert (await owned.stores.pacing.facts(owned.id)).linked_at == linked
    await sessions.forget_device(owned.id, owned.epoch)
    facts = await owned.stores.pacing.facts(owned.id)
    assert facts.now - facts.linked_at > 86_400 * 29
