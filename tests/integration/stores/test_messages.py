"""What was accepted or received is there once, in order, and only moves forward."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from owned_session import CHAT, Owned, incoming

from cluster.domain.errors import (
    Conflict,
    GatewayError,
    Invalid,
    NotOnWhatsApp,
    NotPermitted,
)
from cluster.domain.message import Ack, MessageFilter, OutboxState
from cluster.events.stored_message import to_event

ID = "3EB0AAAAAAAAAAAAAA"


async def receipt(owned: Owned, ack: Ack, state: OutboxState | None) -> int:
    return await owned.stores.inbox.record_receipt(
        owned.id,
        owned.epoch,
        chat=CHAT,
        message_ids=[ID],
        sender=CHAT,
        ack=ack,
        state=state,
        timestamp=datetime.now(UTC),
    )


async def test_an_accepted_message_is_in_the_outbox_and_in_the_history(owned: Owned) -> None:
    row, replayed = await owned.accept(ID, "hi \x00 there")

    stored = await owned.stores.messages.get(owned.id, ID)
    assert (row.state, replayed) == (OutboxState.ACCEPTED, False)
    assert stored is not None
    assert (stored.body, stored.from_me, stored.via_api) == ("hi \ufffd there", True, True)
    assert [r.message_id for r in await owned.stores.outbox.pending(owned.id)] == [ID]


@pytest.mark.parametrize("key", ["order-1", None])
async def test_the_same_send_again_is_the_same_message(owned: Owned, key: str | None) -> None:
    first, _ = await owned.accept(ID, key=key)
    second, replayed = await owned.accept("3EB0BBBBBBBBBBBBBB" if key else ID, key=key)

    assert replayed
    assert second == first
    assert len(await owned.stores.messages.list(owned.id, MessageFilter())) == 1


@pytest.mark.parametrize("key", ["order-1", None])
async def test_another_body_under_the_same_key_or_id_is_a_conflict(
    owned: Owned, key: str | None
) -> None:
    await owned.accept(ID, "ten", key=key)

    with pytest.raises(Conflict):
        await owned.accept("3EB0BBBBBBBBBBBBBB" if key else ID, "twenty", key=key)

    assert len(await owned.stores.outbox.pending(owned.id)) == 1


async def test_one_key_sent_from_many_sides_at_once_makes_one_message(owned: Owned) -> None:
    answers = await asyncio.gather(
        *(owned.accept(f"3EB0AAAAAAAAAAAA{n:02}", key="order-1") for n in range(10))
    )

    assert len({row.message_id for row, _ in answers}) == 1
    assert [replayed for _, replayed in answers].count(False) == 1


@pytest.mark.parametrize(
    "error", [NotPermitted("no member", chat="1@g.us"), NotOnWhatsApp("1 is nobody"), Invalid("x")]
)
async def test_a_failed_one_returns_again_what_it_was_answered(
    owned: Owned, error: GatewayError
) -> None:
    row, _ = await owned.accept("3EB0FAILED00000000", key="f")
    await owned.stores.outbox.mark_failed(owned.id, owned.epoch, row.message_id, error, 1)

    again, replayed = await owned.accept("3EB0FAILED00000001", key="f")

    assert replayed
    assert again.failure is not None
    assert again.failure.to_payload() == error.to_payload()


async def test_pending_keeps_the_order_of_acceptance(owned: Owned) -> None:
    ids = [f"3EB0AAAAAAAAAAAA{n:02}" for n in range(5)]
    for one in ids:
        await owned.accept(one)
    await owned.stores.outbox.mark_sent(owned.id, owned.epoch, ids[1], datetime.now(UTC))
    await owned.stores.outbox.mark_failed(owned.id, owned.epoch, ids[3], GatewayError("no"), 1)

    pending = await owned.stores.outbox.pending(owned.id)

    assert [r.message_id for r in pending] == [ids[0], ids[2], ids[4]]
    failed = await owned.stores.messages.get(owned.id, ids[3])
    assert failed is not None
    assert failed.ack is Ack.ERROR


async def test_an_ack_never_goes_down(owned: Owned) -> None:
    await owned.accept(ID)
    assert await receipt(owned, Ack.READ, OutboxState.READ) == 1

    assert await receipt(owned, Ack.DEVICE, OutboxState.DELIVERED) == 0
    await owned.stores.outbox.mark_sent(owned.id, owned.epoch, ID, datetime.now(UTC))

    stored = await owned.stores.messages.get(owned.id, ID)
    replay, _ = await owned.accept(ID)
    assert stored is not None
    assert stored.ack is Ack.READ
    assert replay.state is OutboxState.READ
    events = await owned.stores.events.list(owned.id, types=["message.ack", "message.any"])
    assert [(e.type, e.payload["ack"]) for e in events] == [("message.ack", 3), ("message.any", 3)]


@pytest.mark.parametrize(
    ("kind", "event"),
    [
        ("text", "message.any"),
        ("reaction", "message.reaction"),
        ("edit", "message.edited"),
        ("revoke", "message.revoked"),
        ("poll_vote", "poll.vote"),
    ],
)
async def test_what_was_sent_is_published_whole_under_the_name_of_its_kind(
    owned: Owned, kind: str, event: str
) -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, 678_901, UTC)
    await owned.accept(ID, "hello", kind=kind)
    await owned.stores.outbox.mark_sent(owned.id, owned.epoch, ID, at)

    (sent,) = await owned.stores.events.list(owned.id, types=[event])
    stored = await owned.stores.messages.get(owned.id, ID)
    assert stored is not None
    assert (sent.type, sent.payload) == (event, to_event(stored))


async def test_a_message_delivered_twice_is_one_message_and_one_event(owned: Owned) -> None:
    message = incoming("AAAAAAAAAAAAAAAA")

    fresh = await asyncio.gather(
        *(
            owned.stores.inbox.record_incoming(owned.id, owned.epoch, message, "message")
            for _ in range(5)
        )
    )

    assert fresh.count(True) == 1
    events = await owned.stores.events.list(owned.id)
    assert [(e.seq, e.payload["message_id"]) for e in events] == [(1, message.message_id)]
    assert await owned.stores.messages.list(owned.id, MessageFilter()) == [message]


async def test_events_are_numbered_without_gaps_from_many_writers(owned: Owned) -> None:
    stores = owned.stores
    await asyncio.gather(
        *(stores.events.append(owned.id, "session.status", {"n": n}) for n in range(30)),
        *(
            stores.inbox.record_incoming(owned.id, owned.epoch, incoming(f"M{n % 10}"), "message")
            for n in range(20)
        ),
    )

    events = await stores.events.list(owned.id, limit=1000)

    assert [e.seq for e in events] == list(range(1, 41))
    assert len({e.id for e in events}) == 40
    assert [e.seq for e in await stores.events.list(owned.id, after=38)] == [39, 40]


async def test_what_was_dealt_with_long_ago_leaves_the_outbox(owned: Owned) -> None:
    outbox = owned.stores.outbox
    ids = [f"3EB0OLD{number:013d}" for number in range(7)]
    for message_id in ids:
        await owned.accept(message_id, key=f"key {message_id}")
    for message_id in ids[:5]:
        await outbox.mark_sent(owned.id, owned.epoch, message_id, datetime.now(UTC))
    await owned.stores.db.run(
        "UPDATE outbox SET accepted_at = accepted_at - interval '31 days' "
        "WHERE session_id = %(id)s AND message_id <> %(young)s",
        {"id": owned.id, "young": ids[4]},
    )
    assert await outbox.forget(timedelta(days=30), batch=2) >= 4
    left = [one for one in ids if await outbox.get(owned.id, one) is not None]
    # The young one, and what still waits, however long.
    assert left == ids[4:]
    assert [row.message_id for row in await outbox.pending(owned.id)] == ids[5:]
    with pytest.raises(Conflict):
        await owned.accept("3EB0NEW0000000000000", "another", key=f"key {ids[4]}")
    _, replayed = await owned.accept("3EB0NEW0000000000000", "another", key=f"key {ids[0]}")
    assert not replayed
