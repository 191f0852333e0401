"""Whatever a stranger sends, the session goes on: real adapter, real recorder, real PostgreSQL.

Only the Go library is left out (it hands on bytes, as it is done here).
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from google.protobuf.message import Message as Protobuf
from neonize.proto import Neonize_pb2 as pb
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import Message
from unplugged import NO_UTF8, PLACEHOLDER, Running, message, start, wire

from actors.whatsapp.bounds import BODY, ID
from actors.whatsapp.neonize_client import _SUBSCRIBED
from cluster.domain.session import SessionRecord, SessionStatus
from cluster.settings import Settings
from cluster.stores import Stores

pytestmark = pytest.mark.attack

#: Those of what only a server says.
_SERVERS = {
    2: pb.PairStatus,
    6: pb.LoggedOut,
    7: pb.StreamReplaced,
    8: pb.TemporaryBan,
    9: pb.ConnectFailure,
    10: pb.ClientOutdated,
    11: pb.StreamError,
    12: pb.Disconnected,
}
#: The rest of what the adapter listens to: strangers cause it, or their servers.
_PEERS = {
    code: kind
    for code, kind in _SUBSCRIBED.items()
    if kind is not pb.Connected and code not in _SERVERS
}
#: Bytes that an event may take for every reader.
_EVENT = 2 << 20


# -- hostile values --------------------------------------------------------------------------------

Text = Callable[[], str]


def _long() -> str:
    # What compresses fits into an index row after all.
    return "".join(random.choices("0123456789abcdef", k=5000))


_TEXTS: dict[str, Text] = {
    "long": _long,
    "longer": lambda: "x" * 70_000,
    "NUL": lambda: "a\x00b",
    "no UTF-8": lambda: PLACEHOLDER,
    "odd": lambda: "../../x\r\nX: 1\u202e\ufeff😀",
    "empty": lambda: "",
}


def fill(into: Protobuf, text: Text, *, depth: int = 3, many: int = 2) -> None:
    """Every field of a message, and of those in it, with what nobody expects there."""
    for field in into.DESCRIPTOR.fields:
        value = _value(field, text)
        if field.message_type is not None:
            if depth and field.is_repeated:
                for _ in range(many):
                    fill(getattr(into, field.name).add(), text, depth=depth - 1, many=many)
            elif depth:
                fill(getattr(into, field.name), text, depth=depth - 1, many=many)
        elif field.is_repeated:
            getattr(into, field.name).extend([value] * many)
        else:
            setattr(into, field.name, value)


def _value(field: Any, text: Text) -> Any:
    kinds = type(field)
    if field.type == kinds.TYPE_STRING:
        return text()
    if field.type == kinds.TYPE_BYTES:
        return b"\x00\xff" * 300
    if field.type == kinds.TYPE_DOUBLE:
        return float("nan")
    if field.type == kinds.TYPE_FLOAT:
        return float("inf")
    if field.type == kinds.TYPE_BOOL:
        return True
    if field.type == kinds.TYPE_ENUM:
        return field.enum_type.values[-1].number
    if field.type in (kinds.TYPE_UINT64, kinds.TYPE_FIXED64):
        return 2**64 - 1
    if field.type in (kinds.TYPE_UINT32, kinds.TYPE_FIXED32):
        return 2**32 - 1
    if field.type in (kinds.TYPE_INT64, kinds.TYPE_SINT64, kinds.TYPE_SFIXED64):
        return -(2**63)
    return -(2**31)


def contents() -> Iterator[tuple[str, Message]]:
    """One message of every kind that the protocol has."""
    for field in Message.DESCRIPTOR.fields:
        for name, text in _TEXTS.items():
            if name == "longer":
                continue
            content = Message()
            if field.message_type is None:
                content.conversation = text()
            elif field.is_repeated:
                continue
            else:
                fill(getattr(content, field.name), text, depth=2, many=1)
            yield f"{field.name}, {name}", content


# -- tests -----------------------------------------------------------------------------------------


async def test_messages_of_every_kind_with_what_nobody_expects_in_every_field(
    running: Running,
) -> None:
    said = [wire(message(content)) for _, content in contents()]
    kinds = len(said)
    await running.hears_all((17, raw) for raw in said)
    await running.still_hears(120)

    assert kinds > 350
    known = await running.count("messages", "true")
    aside = await running.count("quarantine", "true")
    assert known > 300
    assert aside < kinds / 4
    assert not running.session.describe()["outbox"]


async def test_everything_else_that_peers_cause(running: Running) -> None:
    def filled(code: int, text: Text) -> bytes:
        said = _PEERS[code]()
        fill(said, text, depth=4 if code not in (13, 17) else 3, many=1)
        return wire(said)

    await running.hears_all(
        (code, filled(code, text)) for code in _PEERS for text in _TEXTS.values()
    )
    await running.still_hears(120)


@pytest.mark.parametrize("code", _SERVERS)
async def test_a_rogue_server_ends_its_session_at_most_and_with_a_status(
    record: SessionRecord, stores: Stores, settings: Settings, code: int
) -> None:
    """It may say that the device is unlinked, banned or outdated: in whatever words, the session
    goes on, or ends as one that failed."""
    running = start(record, stores, settings)
    await running.works()
    for text in _TEXTS.values():
        said = _SERVERS[code]()
        fill(said, text, depth=3, many=1)
        running.hears(code, wire(said))
        running.hears(code, wire(said)[:-3])
    await asyncio.wait([running.task], timeout=1)
    if not running.task.done():
        running.session.stop()
    async with asyncio.timeout(30):
        ended = await running.task
    found = await stores.sessions.get_by_id(record.id)
    assert ended.how in ("stopped", "failed")
    assert found.status is (
        SessionStatus.FAILED if ended.how == "failed" else SessionStatus.STARTING
    )
    assert len(found.reason) < 5000


@pytest.mark.parametrize("text", _TEXTS)
async def test_ids_names_and_chats_that_nobody_expects(running: Running, text: str) -> None:
    value = _TEXTS[text]() or "x"
    jid = pb.JID(User=value[:20_000], Server="s.whatsapp.net")
    group = pb.JID(User="120363", Server="g.us")
    channel = pb.JID(User=value[:20_000], Server="newsletter")
    for source in (
        pb.MessageSource(Chat=jid, Sender=jid, IsFromMe=False, IsGroup=False),
        pb.MessageSource(Chat=group, Sender=jid, IsFromMe=False, IsGroup=True),
        pb.MessageSource(Chat=channel, Sender=channel, IsFromMe=False, IsGroup=False),
    ):
        said = message(Message(conversation=value), ID=value, Pushname=value, MessageSource=source)
        running.hears(17, wire(said))
        running.hears(
            18, wire(pb.Receipt(MessageSource=source, MessageIDs=[value] * 3, Timestamp=1, Type=1))
        )
        running.hears(44, wire(pb.UndecryptableMessage(Info=said.Info, IsUnavailable=True)))
    await running.still_hears()

    assert await running.count("messages", "body <> ''") >= 2
    assert not await running.count("messages", "octet_length(message_id) > %(most)s", most=ID)
    assert not await running.count("messages", "length(body) > %(most)s", most=BODY)


async def test_times_that_no_calendar_has(running: Running) -> None:
    for at in (0, 1, -1, 2**63 - 1, -(2**63), 253_402_300_800, 10**18):
        running.hears(17, message(Message(conversation=f"at {at}"), Timestamp=at))
    await running.still_hears()

    assert await running.count("messages", "body LIKE 'at %%'") == 7


@pytest.mark.parametrize("levels", [20, 49, 60, 90, 2000])
async def test_a_message_in_a_message_in_a_message(running: Running, levels: int) -> None:
    inner = Message(conversation="deep").SerializeToString()
    for _ in range(levels):
        # ephemeralMessage (40) { message (1) }
        framed = b"\x0a" + _varint(len(inner)) + inner
        inner = b"\xc2\x02" + _varint(len(framed)) + framed
    outer = wire(message(Message()))
    field = pb.Message.DESCRIPTOR.fields_by_name["Message"].number
    running.hears(17, outer + _varint(field << 3 | 2) + _varint(len(inner)) + inner)
    await running.still_hears()

    stored = await running.count("messages", "body = 'deep'")
    aside = await running.count("quarantine", "true")
    assert stored + aside == 1


async def test_large_messages_are_cut_and_say_so(running: Running) -> None:
    text = "\n".join(_long() for _ in range(2000))
    mentioned = Message()
    mentioned.extendedTextMessage.text = "many"
    mentioned.extendedTextMessage.contextInfo.mentionedJID.extend(
        f"{n}@s.whatsapp.net" for n in range(200_000)
    )
    running.hears(17, message(Message(conversation=text)))
    running.hears(17, message(Message(conversation="x" * 40_000_000)))
    running.hears(17, message(mentioned))
    await running.still_hears()

    assert await running.count("messages", "length(body) = %(most)s", most=BODY) == 2
    assert await running.count("messages", "(payload->>'truncated')::boolean") == 3
    assert not await running.count("events", "octet_length(payload::text) > %(most)s", most=_EVENT)


async def test_a_receipt_of_very_many_messages(running: Running) -> None:
    chat = pb.JID(User="4915100002", Server="s.whatsapp.net")
    source = pb.MessageSource(Chat=chat, Sender=chat, IsFromMe=False, IsGroup=False)
    ids = [f"3EB0{n:018X}" for n in range(100_000)]
    running.hears(18, pb.Receipt(MessageSource=source, MessageIDs=ids, Timestamp=1, Type=1))
    await running.still_hears()


def _crowded() -> Iterator[tuple[str, Message]]:
    """Kinds that hold as many of something as their sender likes."""
    many = 200_000
    poll = Message()
    poll.pollCreationMessageV3.name = "poll"
    for n in range(many):
        poll.pollCreationMessageV3.options.add(optionName=f"option {n}")
    yield "poll", poll
    cards = Message()
    for n in range(many // 4):
        cards.contactsArrayMessage.contacts.add(displayName=f"card {n}", vcard="BEGIN:VCARD\n" * 9)
    yield "cards", cards
    menu = Message()
    menu.listMessage.description = "menu"
    for n in range(many // 100):
        section = menu.listMessage.sections.add(title=f"section {n}")
        for row in range(20):
            section.rows.add(title=f"row {row}", rowID=f"{n}-{row}")
    yield "menu", menu
    reaction = Message()
    reaction.reactionMessage.text = "👍" * many
    reaction.reactionMessage.key.ID = "A" * many
    yield "reaction", reaction
    nested = Message()
    nested.extendedTextMessage.text = "quotes"
    context = nested.extendedTextMessage.contextInfo
    for _ in range(30):
        context.stanzaID, context.participant = "B" * 5000, "C" * 5000
        context.quotedMessage.extendedTextMessage.text = "quoted"
        context = context.quotedMessage.extendedTextMessage.contextInfo
    yield "quotes", nested
    vote = Message()
    vote.pollUpdateMessage.vote.encPayload = b"\xff" * 5_000_000
    vote.pollUpdateMessage.pollCreationMessageKey.ID = "D" * 5000
    yield "vote", vote


async def test_kinds_that_hold_as_many_as_their_sender_likes(running: Running) -> None:
    said = [wire(message(content)) for _, content in _crowded()]
    await running.hears_all((17, raw) for raw in said)
    await running.still_hears(120)

    assert await running.count("messages", "true") + await running.count(
        "quarantine", "true"
    ) >= len(said)
    assert not await running.count("events", "octet_length(payload::text) > %(most)s", most=_EVENT)
    assert not await running.count(
        "messages", "octet_length(payload::text) > %(most)s", most=_EVENT
    )


async def test_a_flood_of_presences(running: Running) -> None:
    """Nobody asked for them, and they are cheap to send: what is remembered has its bounds."""
    group = pb.JID(User="120363000000000009", Server="g.us")

    def flood() -> Iterator[tuple[int, bytes]]:
        for n in range(2500):
            one = pb.JID(User=f"4915{n:09}", Server="s.whatsapp.net")
            yield 20, wire(pb.Presence(From=one, Unavailable=bool(n % 2), LastSeen=2**62))
            source = pb.MessageSource(Chat=group, Sender=one, IsFromMe=False, IsGroup=True)
            yield 19, wire(pb.ChatPresence(MessageSource=source, State=1, Media=1))

    await running.hears_all(flood())
    await running.still_hears(120)

    presences = running.clients[-1].presences
    assert len(presences.chats()) <= 10_000
    assert 0 < len(presences.of_chat("120363000000000009@g.us")) <= 2_000


async def test_a_group_of_very_many(running: Running) -> None:
    joined = pb.JoinedGroup(Reason="x" * 100_000, Type="y" * 100_000, CreateKey="z" * 100_000)
    changed = pb.GroupInfoEvent()
    for n in range(50_000):
        one = joined.GroupInfo.Participants.add(IsAdmin=True)
        one.JID.User, one.JID.Server = f"4915{n:09}", "s.whatsapp.net"
        for people in (changed.Join, changed.Leave, changed.Promote, changed.Demote):
            people.add(User=f"4915{n:09}", Server="s.whatsapp.net")
    joined.GroupInfo.GroupName.Name = "n" * 1_000_000
    joined.GroupInfo.GroupTopic.Topic = "t" * 1_000_000
    for said in (joined.GroupInfo.JID, changed.JID):
        said.User, said.Server = "120363000000000010", "g.us"
    await running.hears_all([(21, wire(joined)), (22, wire(changed))])
    await running.still_hears(120)

    assert await running.count("events", "type LIKE 'group.v2.%%'") >= 1
    assert not await running.count("events", "octet_length(payload::text) > %(most)s", most=_EVENT)


async def test_names_in_answers_of_the_library_that_are_no_text(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One person, or one group, must not keep the list of all from being answered as JSON."""
    client = running.clients[-1]
    monkeypatch.setattr(client, "_client_known", lambda: True)
    raw = wire(pb.GroupInfo(GroupName=pb.GroupName(Name=PLACEHOLDER)))
    person = wire(pb.Contact(Info=pb.ContactInfo(PushName=PLACEHOLDER, FullName=PLACEHOLDER)))

    async def groups(_: Any) -> list[pb.GroupInfo]:
        return [pb.GroupInfo.FromString(raw)]

    async def people(_: Any) -> Any:
        return pb.ContactsGetAllContactsReturnFunction(
            Contact=[pb.Contact.FromString(person)]
        ).Contact

    (group,) = await client.call(groups)
    assert group.GroupName.Name == "hi\ufffd\ufffd\ufffd\ufffd"
    (one,) = await client.call(people)
    assert one.Info.PushName == one.Info.FullName == group.GroupName.Name

    store = client._store
    with closing(sqlite3.connect(store)) as db, db:
        db.execute("CREATE TABLE IF NOT EXISTS names (name TEXT)")
        db.execute("INSERT INTO names VALUES (CAST(? AS TEXT))", (NO_UTF8,))
    assert await client.rows("SELECT name FROM names") == [["hi\ufffd\ufffd\ufffd\ufffd"]]


async def test_a_history_of_absurd_counts(running: Running) -> None:
    """What a phone packs small: very many names, chats and people, and numbers beyond any count."""
    sync = pb.HistorySync()
    sync.Data.syncType = 3
    for n in range(20_000):
        sync.Data.pushnames.add(ID=f"49151{n:08}@s.whatsapp.net", pushname="n")
        sync.Data.phoneNumberToLidMappings.add(pnJID=f"49151{n:08}@s.whatsapp.net", lidJID="1@lid")
    for n in range(200):
        chat = sync.Data.conversations.add(ID=f"49152{n:08}@s.whatsapp.net")
        chat.unreadCount = 2**32 - 1
        chat.conversationTimestamp = chat.lastMsgTimestamp = 2**64 - 1
        chat.ephemeralExpiration = 2**32 - 1
    crowd = sync.Data.conversations.add(
        ID="120363000000000001@g.us", name="crowd", conversationTimestamp=1
    )
    for n in range(30_000):
        crowd.participant.add(userJID=f"49153{n:08}@s.whatsapp.net")
    running.hears(13, wire(sync))
    await running.still_hears()
    # It is written down beside what arrives, which does not wait for it.
    async with asyncio.timeout(120):
        while not (groups := await running.stores.groups.list(running.session.record.id)):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    await running.still_hears()
    (group,) = groups
    assert group.members is not None
    assert len(group.members) <= 20_000
    assert await running.count("chats", "unread > 0") <= 1


async def test_bytes_that_are_no_protobuf_are_kept_and_reported(running: Running) -> None:
    chance = random.Random(5)
    good = wire(message(Message(conversation="hello")))

    def broken() -> bytes:
        raw = bytearray(good)
        for _ in range(chance.randint(1, 8)):
            raw[chance.randrange(len(raw))] = chance.randrange(256)
        return bytes(raw[: chance.randrange(len(raw) + 1)])

    await running.hears_all((code, broken()) for _ in range(100) for code in _PEERS)
    await running.still_hears(120)

    kept = await running.stores.quarantine.list(running.session.record.id, before=None, limit=1000)
    assert kept
    assert len(kept) <= 500
    entry = await running.stores.quarantine.entry(running.session.record.id, kept[0].id)
    assert len(entry) == kept[0].size
    assert await running.count("events", "type = 'event.quarantined'") >= len(kept)


async def test_the_spool_of_a_dead_process_may_hold_anything(
    record: SessionRecord, stores: Stores, settings: Settings
) -> None:
    """Replayed before the first connect: nothing in it may keep the session from starting."""
    first = start(record, stores, settings)
    await first.works()
    handled = asyncio.Event()
    first.clients[-1].on_event = lambda *_: asyncio.wait_for(handled.wait(), 60)
    long = message(Message(conversation="long"), ID=_long())
    for raw in (wire(long), b"\xff\xff", wire(message(Message(conversation=PLACEHOLDER)))):
        first.hears(17, raw)
    await asyncio.sleep(0.1)
    # As a process that is killed leaves it: the connection to PostgreSQL and the lock are gone.
    first.clients[-1]._stream._pumps.cancel()  # type: ignore[union-attr]
    first.task.cancel()
    await asyncio.gather(first.task, return_exceptions=True)
    await first.session.discard()

    second = start(record, stores, settings, owned_before=first.session.epoch)
    await second.works()
    await second.still_hears()
    assert await second.count("messages", "body = 'long' OR body LIKE 'hi%%'") == 2
    assert await second.count("quarantine", "true") == 1
    second.session.stop()
    await second.task


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])
