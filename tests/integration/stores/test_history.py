"""History from a phone beside live traffic, people under two addresses, search and paging."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from owned_session import CHAT, Owned, incoming

from cluster.domain.cursor import MessageCursor
from cluster.domain.errors import Invalid, NotOwner
from cluster.domain.history import GroupEvent, HistoryChat, HistoryChunk
from cluster.domain.message import Ack, MessageFilter, StoredMessage

LID = "77000000000001@lid"
GROUP = "120363000000000001@g.us"
OLD = datetime(2024, 1, 1, tzinfo=UTC)


def old(message_id: str, body: str, seconds: int = 0, **changes: object) -> StoredMessage:
    message = replace(
        incoming(message_id, body), timestamp=OLD + timedelta(seconds=seconds), ack=Ack.READ
    )
    return replace(message, **changes)  # type: ignore[arg-type]


async def live(owned: Owned, message: StoredMessage) -> None:
    await owned.stores.inbox.record_incoming(
        owned.id, owned.epoch, replace(message, ack=Ack.DEVICE), "message"
    )


async def test_history_is_written_once_and_emits_no_event(owned: Owned) -> None:
    chunk = HistoryChunk(
        messages=(old("A1", "one"), old("A2", "two", 1, ack=Ack.DEVICE)),
        chats=(HistoryChat(jid=CHAT, name="Bob", last_at=OLD + timedelta(seconds=1)),),
        push_names=((CHAT, "bobby"),),
    )
    assert await owned.stores.history.record(owned.id, owned.epoch, chunk) == 2
    assert await owned.stores.history.record(owned.id, owned.epoch, chunk) == 0
    (chat,) = await owned.stores.chats.list(owned.id)
    assert (chat.name, chat.unread, chat.last_at) == ("Bob", 1, OLD + timedelta(seconds=1))
    assert chat.last_message is not None
    assert chat.last_message.message_id == "A2"
    assert [c.push_name for c in await owned.stores.people.contacts(owned.id)] == ["bobby"]
    assert await owned.stores.events.list(owned.id) == []


async def test_history_does_not_overwrite_what_is_newer(owned: Owned) -> None:
    await live(owned, replace(incoming("N1", "now"), push_name="Robert"))
    await owned.accept("3EB0AAAAAAAAAAAAAA", "mine")
    await live(owned, replace(incoming("N2", "now, too"), push_name="Robert"))
    mine = old("3EB0AAAAAAAAAAAAAA", "changed?", from_me=True, ack=Ack.READ)
    chunk = HistoryChunk(
        messages=(
            old("N1", "changed?"),
            mine,
            old("O1", "old", push_name="bobby"),
            old("O2", "old and mine", 1, from_me=True),
        ),
        chats=(HistoryChat(jid=CHAT, name="", last_at=OLD, archived=True),),
        push_names=((CHAT, "bobby"),),
    )
    await owned.stores.history.record(owned.id, owned.epoch, chunk)
    (chat,) = await owned.stores.chats.list(owned.id)
    assert (chat.name, chat.unread, chat.archived) == ("Robert", 1, False)
    assert chat.last_message is not None
    assert chat.last_message.message_id == "N2"
    found = {m.message_id: m for m in await owned.stores.messages.list(owned.id, MessageFilter())}
    assert found["N1"].body == "now"
    assert (found["3EB0AAAAAAAAAAAAAA"].body, found["3EB0AAAAAAAAAAAAAA"].ack) == ("mine", Ack.READ)
    assert [c.push_name for c in await owned.stores.people.contacts(owned.id)] == ["Robert"]


async def test_a_former_owner_writes_no_history(owned: Owned) -> None:
    await owned.taken_over()
    with pytest.raises(NotOwner):
        await owned.stores.history.record(
            owned.id, owned.epoch, HistoryChunk(messages=(old("A1", "x"),))
        )
    with pytest.raises(NotOwner):
        await owned.stores.people.paired(owned.id, owned.epoch, [(LID, CHAT)])


async def test_a_person_with_two_addresses_becomes_one_chat_and_contact(owned: Owned) -> None:
    await live(owned, replace(incoming("L1", "by lid"), chat=LID, sender=LID, push_name="Bob"))
    await live(owned, incoming("P1", "by phone"))
    await live(owned, replace(incoming("G1", "in a group"), chat=GROUP, sender=LID))
    both = replace(incoming("B1", "twice"), chat=LID, sender=LID)
    await live(owned, both)
    await live(owned, replace(both, chat=CHAT, sender=CHAT))
    assert len(await owned.stores.chats.list(owned.id)) == 3
    await owned.stores.people.paired(owned.id, owned.epoch, [(LID, CHAT)])
    chats = {c.jid: c for c in await owned.stores.chats.list(owned.id)}
    assert chats.keys() == {CHAT, GROUP}
    assert chats[CHAT].name == "Bob"
    for asked in (CHAT, LID):
        page = await owned.stores.messages.list(owned.id, MessageFilter(chat=asked))
        assert {m.message_id for m in page} == {"L1", "P1", "B1"}
        assert {m.sender for m in page} == {CHAT}
    (in_group,) = await owned.stores.messages.list(owned.id, MessageFilter(chat=GROUP))
    assert in_group.sender == CHAT
    (contact,) = await owned.stores.people.contacts(owned.id)
    assert (contact.jid, contact.lid, contact.push_name) == (CHAT, LID, "Bob")
    # From now on at once, whatever address is used; also by what is sent.
    await live(owned, replace(incoming("L2", "later"), chat=LID, sender=LID))
    assert {c.jid for c in await owned.stores.chats.list(owned.id)} == {CHAT, GROUP}
    await owned.stores.outbox.accept(
        owned.id,
        message_id="3EB0BBBBBBBBBBBBBB",
        chat=LID,
        sender="4915100001@s.whatsapp.net",
        kind="text",
        content={"kind": "text", "text": "to the lid"},
        body="to the lid",
    )
    await owned.stores.outbox.mark_sent(
        owned.id, owned.epoch, "3EB0BBBBBBBBBBBBBB", datetime.now(UTC)
    )
    sent = await owned.stores.messages.get(owned.id, "3EB0BBBBBBBBBBBBBB")
    assert sent is not None
    assert (sent.chat, sent.ack) == (CHAT, Ack.SERVER)


async def test_a_group_keeps_its_newest_name_and_members(owned: Owned) -> None:
    now = datetime.now(UTC)
    await live(owned, replace(incoming("G1"), chat=GROUP))
    news = GroupEvent(jid=GROUP, at=now, subject="Friends", members={CHAT: "admin", LID: "admin"})
    await owned.stores.groups.write(owned.id, owned.epoch, news)
    later = GroupEvent(jid=GROUP, at=now, changed={CHAT: "participant"}, gone=(LID,))
    await owned.stores.groups.write(owned.id, owned.epoch, later)
    past = GroupEvent(jid=GROUP, at=OLD, subject="Foes", members={})
    await owned.stores.history.record(owned.id, owned.epoch, HistoryChunk(groups=(past,)))
    (group,) = await owned.stores.groups.list(owned.id)
    assert (group.subject, group.members) == ("Friends", {CHAT: "participant"})
    (chat,) = await owned.stores.chats.list(owned.id)
    assert chat.name == "Friends"


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("invoice", {"S1", "S2"}),
        ("INVOICE overd", {"S2"}),
        ("überfällig", {"S3"}),
        ("ÜBERF", {"S3"}),
        ("счёт", {"S4"}),
        ("o'brien", {"S5"}),
        ("!!!", set()),
        ("nothing of this", set()),
        ("~1", set()),
        ("\\'", set()),
    ],
)
async def test_search_finds_words_and_their_beginnings_in_any_language(
    owned: Owned, words: str, found: set[str]
) -> None:
    texts = ["Your invoice, please", "Invoice overdue!", "Längst Überfällig", "Ваш Счёт", "O'Brien"]
    chunk = HistoryChunk(
        messages=(
            *(old(f"S{n}", text, n) for n, text in enumerate(texts, 1)),
            old("R1", "invoice", kind="reaction"),
        )
    )
    await owned.stores.history.record(owned.id, owned.epoch, chunk)
    page = await owned.stores.messages.page(owned.id, MessageFilter(words=words))
    assert {m.message_id for m in page.messages} == found


async def test_search_stays_within_its_session_and_filters(owned: Owned) -> None:
    other = await owned.stores.sessions.create(
        "default", f"other-{owned.id}", {}, owned.record.desired
    )
    claim = await owned.stores.ownership.claim(other.id, "n", "h", timedelta(seconds=30))
    chunk = HistoryChunk(
        messages=(
            old("A", "hello one"),
            old("B", "hello two", 10, chat=GROUP),
            old("C", "hello", 20, from_me=True),
        )
    )
    await owned.stores.history.record(other.id, claim.epoch, chunk)
    assert (await owned.stores.messages.page(owned.id, MessageFilter(words="hello"))).messages == ()

    async def ids(**wanted: object) -> list[str]:
        asked = MessageFilter(words="hello", **wanted)  # type: ignore[arg-type]
        return [m.message_id for m in (await owned.stores.messages.page(other.id, asked)).messages]

    assert await ids() == ["C", "B", "A"]
    assert await ids(chat=GROUP) == ["B"]
    assert await ids(from_me=True) == ["C"]
    assert await ids(timestamp_gte=OLD + timedelta(seconds=5)) == ["C", "B"]
    assert await ids(timestamp_lte=OLD + timedelta(seconds=5)) == ["A"]


@pytest.mark.parametrize("ascending", [True, False])
@pytest.mark.parametrize("words", ["", "text"])
async def test_pages_neither_repeat_nor_lose_while_messages_arrive(
    owned: Owned, words: str, *, ascending: bool
) -> None:
    # Many of the same second, as WhatsApp's times are.
    there = [old(f"M{n:03}", f"text {n}", n // 40) for n in range(200)]
    await owned.stores.history.record(owned.id, owned.epoch, HistoryChunk(messages=tuple(there)))
    arriving = asyncio.Event()

    async def arrive() -> None:
        n = 0
        while not arriving.is_set():
            n += 1
            await live(owned, incoming(f"NEW{n}", "text"))
            late = old(f"LATE{n}", "text", n % 5)
            await owned.stores.history.record(owned.id, owned.epoch, HistoryChunk(messages=(late,)))

    traffic = asyncio.create_task(arrive())
    seen: list[str] = []
    after: MessageCursor | None = None
    while True:
        page = await owned.stores.messages.page(
            owned.id, MessageFilter(words=words, limit=7, ascending=ascending, after=after)
        )
        seen += [m.message_id for m in page.messages]
        if page.following is None or len(seen) > 2000:
            break
        after = MessageCursor.parse(str(page.following))
        if "M000" in seen and "M199" in seen:
            arriving.set()
    arriving.set()
    await traffic
    assert len(seen) == len(set(seen)), "nothing twice"
    ours = [one for one in seen if one.startswith("M")]
    expected = [m.message_id for m in there]
    assert sorted(ours) == expected, "nothing is missing"


def test_a_foreign_cursor_is_refused() -> None:
    for text in ("", "x", "AAAA", "W10", "ÿ", "=" * 8, "W251bGwsMSwiYSIsImIiLDFd"):
        with pytest.raises(Invalid):
            MessageCursor.parse(text)


async def test_what_is_too_old_is_forgotten_and_chats_stay(owned: Owned) -> None:
    messages = tuple(old(f"M{n}", "old", n) for n in range(25))
    await owned.stores.history.record(owned.id, owned.epoch, HistoryChunk(messages=messages))
    await live(owned, replace(incoming("N1", "new"), chat=GROUP))
    assert await owned.stores.history.forget_messages(timedelta(days=30), batch=10) >= 25
    left = await owned.stores.messages.list(owned.id, MessageFilter())
    assert [m.message_id for m in left] == ["N1"]
    assert len(await owned.stores.chats.list(owned.id)) == 2


async def test_a_long_chat_moves_to_its_number_while_sends_go_on(owned: Owned) -> None:
    stores, many = owned.stores, 10_000
    for first in range(1, many, 1000):
        await stores.db.run(
            """
            INSERT INTO messages (session_id, chat, message_id, from_me, sender, sent_at, kind,
                                  body)
            SELECT %(id)s, '777@lid', 'L' || n, false, '777@lid', now() - n * interval '1 minute',
                   'text', 'message ' || n
            FROM generate_series(%(first)s::integer, %(first)s + 999) n
            """,
            {"id": owned.id, "first": first},
        )
    # One is there twice, under both.
    await stores.db.run(
        """
        INSERT INTO messages (session_id, chat, message_id, from_me, sender, sent_at, kind, body)
        VALUES (%(id)s, '4917777@s.whatsapp.net', 'L7', false, '4917777@s.whatsapp.net', now(),
                'text', 'message 7')
        """,
        {"id": owned.id},
    )
    moving = asyncio.create_task(
        stores.people.paired(owned.id, owned.epoch, [("777@lid", "4917777@s.whatsapp.net")])
    )
    sent = 0
    while not moving.done():
        await owned.accept(f"3EB0{sent:016d}")
        sent += 1
        await asyncio.sleep(0.01)
    await moving
    # As one transaction, it let none or one through.
    assert sent >= 5
    row = await stores.db.one(
        """
        SELECT count(*) FILTER (WHERE chat = '4917777@s.whatsapp.net'
                                  AND sender = '4917777@s.whatsapp.net') AS moved,
               count(*) FILTER (WHERE chat LIKE '%%@lid' OR sender LIKE '%%@lid') AS left
        FROM messages WHERE session_id = %(id)s
        """,
        {"id": owned.id},
    )
    assert row == {"moved": many, "left": 0}
    chats = await stores.chats.list(owned.id, limit=10)
    assert "4917777@s.whatsapp.net" in [chat.jid for chat in chats]
    assert not any(chat.jid.endswith("@lid") for chat in chats)


@pytest.mark.parametrize("analyzed", [False, True])
async def test_a_part_of_a_move_reads_what_it_moves_and_not_the_chat(
    owned: Owned, analyzed: bool
) -> None:
    db, many, part = owned.stores.db, 2_000, 100
    if analyzed:
        # A session that statistics know nothing of has hardly any message, for PostgreSQL.
        await db.run("ANALYZE messages", {})
    await db.run(
        """
        INSERT INTO messages (session_id, chat, message_id, from_me, sender, sent_at, kind, body)
        SELECT %(id)s, '778@lid', 'P' || n, false, '778@lid', now(), 'text', 'message ' || n
        FROM generate_series(1, %(many)s::integer) n
        """,
        {"id": owned.id, "many": many},
    )
    async with db.connection() as connection, connection.transaction():
        await connection.execute(
            "SELECT move_messages(%(id)s, '778@lid', '4917778@s.whatsapp.net', %(part)s)",
            {"id": owned.id, "part": part},
        )
        cursor = await connection.execute(
            """
            SELECT sum(idx_tup_fetch + seq_tup_read) AS read, sum(n_tup_upd) AS written
            FROM pg_stat_xact_user_tables WHERE relname LIKE 'messages%%'
            """
        )
        row = await cursor.fetchone()
    assert row is not None
    # Chat and sender.
    assert row["written"] == 2 * part
    # By the chat's index, or the session's, it would be the chat for each message.
    assert row["read"] < 20 * part


async def test_a_move_that_was_interrupted_is_finished_by_the_next_owner(owned: Owned) -> None:
    stores = owned.stores
    await stores.db.run(
        """
        INSERT INTO messages (session_id, chat, message_id, from_me, sender, sent_at, kind, body)
        SELECT %(id)s, '778@lid', 'L' || n, false, '778@lid', now(), 'text', 'x'
        FROM generate_series(1, 900) n
        """,
        {"id": owned.id},
    )
    # As the first step leaves it.
    await stores.db.run(
        "INSERT INTO lid_pairs (session_id, lid, phone) VALUES (%(id)s, '778@lid', '49@c')",
        {"id": owned.id},
    )
    left = "SELECT count(*) AS n FROM messages WHERE session_id = %(id)s AND chat = '778@lid'"
    assert await stores.db.one(left, {"id": owned.id}) == {"n": 700}
    newer = await owned.taken_over()
    await stores.people.paired(owned.id, newer, [("779@lid", "4917779@s.whatsapp.net")])
    assert await stores.db.one(left, {"id": owned.id}) == {"n": 0}
