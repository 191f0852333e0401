"""Accepted sends belong to the account they were accepted for."""

from __future__ import annotations

from owned_session import Owned

from cluster.domain.message import Ack, MessageFilter, OutboxState

OTHER = "4915100009@s.whatsapp.net"
OWN = "4915100001@s.whatsapp.net"


async def test_what_waits_for_another_account_fails_and_is_reported(owned: Owned) -> None:
    outbox, events = owned.stores.outbox, owned.stores.events
    ids = [f"3EB0{n:016d}" for n in range(450)]
    for message_id in ids:
        await owned.accept(message_id)
    await outbox.mark_sent(
        owned.id, owned.epoch, ids[0], (await outbox.pending(owned.id))[0].accepted_at
    )
    before = await events.newest(owned.id)

    assert await outbox.disown(owned.id, owned.epoch, OWN) == 0
    assert len(await outbox.pending(owned.id)) == 449
    assert await outbox.disown(owned.id, owned.epoch, OTHER) == 449

    assert await outbox.pending(owned.id) == []
    sent = await outbox.get(owned.id, ids[0])
    assert sent is not None
    assert sent.state is OutboxState.SENT
    emitted = await events.list(owned.id, after=before, limit=2000)
    assert [e.seq for e in emitted] == list(range(before + 1, before + 1 + 2 * 449))
    assert len({e.id for e in emitted}) == len(emitted)
    assert [e.payload["id"] for e in emitted if e.type == "message.ack"] == ids[1:]
    failed = [e.payload for e in emitted if e.type == "message.status"]
    assert [one["id"] for one in failed] == ids[1:]
    assert {one["status"] for one in failed} == {"failed"}
    assert "another account" in failed[0]["error"]
    history = await owned.stores.messages.list(owned.id, MessageFilter(ack=Ack.ERROR, limit=1000))
    assert len(history) == 449

    # Nobody's turn again: the same key has no other outcome.
    assert await outbox.disown(owned.id, owned.epoch, OTHER) == 0


async def test_what_an_older_version_accepted_stays(owned: Owned) -> None:
    await owned.accept("3EB0OLD")
    await owned.stores.db.run(
        "UPDATE outbox SET account = '' WHERE session_id = %(id)s", {"id": owned.id}
    )
    assert await owned.stores.outbox.disown(owned.id, owned.epoch, OTHER) == 0
