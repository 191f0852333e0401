"""The list of chats, what changes messages, and what is kept of files: in a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from owned_session import CHAT, Owned, incoming

from cluster.domain.chat import ChatOrder
from cluster.domain.history import GroupEvent
from cluster.domain.message import Ack, MessageFilter, StoredMessage
from cluster.stores.media import StoredFile
from cluster.stores.outbox import OutboxRow

OTHER = "4915100003@s.whatsapp.net"
GROUP = "120363000000000001@g.us"


async def _record(owned: Owned, message: StoredMessage) -> None:
    message = replace(message, ack=Ack.DEVICE)
    await owned.stores.inbox.record_incoming(owned.id, owned.epoch, message, "message")


async def _body(owned: Owned, message_id: str) -> str:
    found = await owned.stores.messages.get(owned.id, message_id)
    assert found is not None
    return found.body


async def test_the_list_follows_messages_and_counts_the_unread(owned: Owned) -> None:
    await _record(owned, replace(incoming("A1"), push_name="Bob"))
    await _record(owned, replace(incoming("A2", "newest"), push_name=""))
    await _record(owned, replace(incoming("B1"), chat=OTHER, sender=OTHER))
    await _record(owned, replace(incoming("S1"), chat="status@broadcast"))
    chats = await owned.stores.chats.list(owned.id)
    assert [c.jid for c in chats] == [OTHER, CHAT]
    bob = chats[1]
    assert (bob.name, bob.unread) == ("Bob", 2)
    assert bob.last_message is not None
    assert bob.last_message.body == "newest"
    await owned.stores.messages.mark_seen(owned.id, CHAT, ["A1", "A1", "nobody"])
    assert [m.message_id for m in await owned.stores.messages.unread(owned.id, CHAT, 9)] == ["A2"]
    (bob,) = await owned.stores.chats.list(owned.id, ids=[CHAT])
    assert bob.unread == 1
    await owned.stores.chats.delete(owned.id, CHAT)
    assert [c.jid for c in await owned.stores.chats.list(owned.id)] == [OTHER]
    assert not await owned.stores.messages.list(owned.id, MessageFilter(chat=CHAT))


async def test_the_list_is_sorted_by_what_is_asked(owned: Owned) -> None:
    """By name is by what is shown, not by the number; who has no name comes last either way."""
    third, nameless = "4915100001@s.whatsapp.net", "4915100009@s.whatsapp.net"
    await _record(owned, replace(incoming("A1"), chat=third, sender=third, push_name="carl"))
    await _record(owned, replace(incoming("B1"), push_name="Ann"))
    await _record(owned, replace(incoming("C1"), chat=OTHER, sender=OTHER, push_name="Zed"))
    await _record(owned, replace(incoming("D1"), chat=nameless, sender=nameless, push_name=""))
    # The address book counts before what people call themselves.
    await owned.stores.people.named(owned.id, {OTHER: ("Bob", "Zed")})

    async def listed(order: ChatOrder, *, ascending: bool, **page: Any) -> list[str]:
        asked = owned.stores.chats.list(owned.id, order=order, ascending=ascending, **page)
        return [chat.jid for chat in await asked]

    assert await listed("name", ascending=True) == [CHAT, OTHER, third, nameless]
    assert await listed("name", ascending=False) == [third, OTHER, CHAT, nameless]
    assert await listed("name", ascending=True, limit=2, offset=1) == [OTHER, third]
    assert await listed("id", ascending=True) == sorted([CHAT, OTHER, third, nameless])
    assert await listed("id", ascending=False) == sorted(
        [CHAT, OTHER, third, nameless], reverse=True
    )
    assert set(await listed("time", ascending=True)) == {CHAT, OTHER, third, nameless}


async def test_a_send_to_a_lid_names_the_chat_that_keeps_it(owned: Owned) -> None:
    lid, phone = "778@lid", "4915100000078@s.whatsapp.net"

    async def sent(message_id: str, chat: str) -> OutboxRow:
        row, _ = await owned.stores.outbox.accept(
            owned.id, message_id=message_id, chat=chat, sender="", kind="text",
            content={"kind": "text", "text": "x"}, body="x",
        )  # fmt: skip
        return row

    assert (await sent("3EB0A", lid)).kept_in == lid, "nobody knows the number yet"
    await owned.stores.db.run(
        "INSERT INTO lid_pairs (session_id, lid, phone) VALUES (%(id)s, %(lid)s, %(phone)s)",
        {"id": owned.id, "lid": lid, "phone": phone},
    )
    for message_id in ("3EB0B", "3EB0B"):
        row = await sent(message_id, lid)
        assert (row.chat, row.kept_in) == (lid, phone), "the first time, and a repetition"
    assert (await sent("3EB0C", phone)).kept_in == phone
    assert (await sent("3EB0D", GROUP)).kept_in == GROUP
    kept = await owned.stores.messages.list(owned.id, MessageFilter(chat=phone))
    assert {"3EB0B", "3EB0C"} <= {message.message_id for message in kept}


async def test_only_its_author_changes_a_message(owned: Owned) -> None:
    await _record(owned, replace(incoming("G1", "mine"), chat=GROUP))
    await _record(owned, replace(incoming("G2", "also mine"), chat=GROUP))
    edit = replace(incoming("E1", "forged"), chat=GROUP, kind="edit", reply_to="G1", sender=OTHER)
    await _record(owned, edit)
    assert await _body(owned, "G1") == "mine"
    await _record(owned, replace(edit, message_id="E2", body="better", sender=CHAT))
    assert await _body(owned, "G1") == "better"
    # An admin of the group deletes what others wrote (tests/attack/test_rights.py: nobody else).
    news = GroupEvent(jid=GROUP, at=edit.timestamp, members={OTHER: "admin"})
    await owned.stores.groups.write(owned.id, owned.epoch, news)
    revoke = replace(edit, message_id="R1", kind="revoke", reply_to="G2", body="")
    await _record(owned, revoke)
    assert await _body(owned, "G2") == ""
    await _record(owned, incoming("D1", "direct"))
    await _record(owned, replace(revoke, message_id="R2", chat=CHAT, reply_to="D1"))
    assert await _body(owned, "D1") == "direct"
    listed = await owned.stores.messages.list(owned.id, MessageFilter(chat=GROUP))
    assert {m.message_id for m in listed} == {"G1", "G2"}, "changes are no messages of the list"


async def test_an_own_edit_counts_once_whatsapp_has_it(owned: Owned) -> None:
    await owned.accept("3EB0AAAAAAAAAAAAAAAAA1", "frist")
    content = {"kind": "edit", "text": "first", "reply_to": "3EB0AAAAAAAAAAAAAAAAA1"}
    await owned.stores.outbox.accept(
        owned.id,
        message_id="3EB0AAAAAAAAAAAAAAAAA2",
        chat=CHAT,
        sender="4915100001@s.whatsapp.net",
        kind="edit",
        content=content,
        body="first",
    )
    assert await _body(owned, "3EB0AAAAAAAAAAAAAAAAA1") == "frist"
    at = incoming("x").timestamp
    await owned.stores.outbox.mark_sent(owned.id, owned.epoch, "3EB0AAAAAAAAAAAAAAAAA2", at)
    assert await _body(owned, "3EB0AAAAAAAAAAAAAAAAA1") == "first"


async def test_the_gateways_own_additions_make_no_other_message(owned: Owned) -> None:
    async def accept(secret: str, text: str) -> bool:
        _, replayed = await owned.stores.outbox.accept(
            owned.id,
            message_id="3EB0AAAAAAAAAAAAAAAAA3",
            chat=CHAT,
            sender="",
            kind="poll",
            content={"kind": "poll", "text": text, "_secret": secret, "file": {"_size": secret}},
            body=text,
        )
        return replayed

    assert not await accept("one", "Lunch?")
    assert await accept("two", "Lunch?")


async def test_files_go_when_their_time_is_over_and_nobody_needs_them(owned: Owned) -> None:
    media = owned.stores.media
    unsent = ("needed", "picture", "deeper")
    for name, seconds in (
        *((name, 0.001) for name in unsent),
        *(("over", 0.001), ("kept", 0.0), ("young", 99.0)),
    ):
        file = StoredFile(key=f"media/{owned.id}/{name}", mimetype="x/y", filename="", size=1)
        await media.put(owned.id, file, seconds=seconds)
    await owned.stores.outbox.accept(
        owned.id,
        message_id="3EB0AAAAAAAAAAAAAAAAA4",
        chat=CHAT,
        sender="",
        kind="image",
        content={"kind": "image", "file": {"_object": f"media/{owned.id}/needed"}},
        body="",
    )
    await owned.stores.outbox.accept(
        owned.id,
        message_id="3EB0AAAAAAAAAAAAAAAAA5",
        chat=CHAT,
        sender="",
        kind="text",
        content={
            "kind": "text",
            "text": "https://example.com",
            "_preview_image": {"_object": f"media/{owned.id}/picture"},
            "cards": [{"of": {"key": f"media/{owned.id}/deeper"}}],
        },
        body="",
    )
    deleted: list[str] = []

    async def delete(keys: Sequence[str]) -> None:
        deleted.extend(keys)

    gone = await media.collect(100, delete)
    assert f"media/{owned.id}/over" in gone
    assert deleted == gone
    names = (*unsent, "over", "kept", "young")
    left = [name for name in names if await _stored(owned, name)]
    assert left == [*unsent, "kept", "young"]


async def _stored(owned: Owned, name: str) -> bool:
    return await owned.stores.media.get(owned.id, f"media/{owned.id}/{name}") is not None
