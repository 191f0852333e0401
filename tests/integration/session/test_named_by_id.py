"""What a stranger says of a message, a poll or a chat that he names by its id.

Ids are known to whoever was in a chat, and free to be chosen. So for everything that names another
thing by its id the table says who may do it and where it counts; each row is tried in a real
session with the right and the wrong chat.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from neonize.proto import Neonize_pb2 as pb
from neonize.proto.waCommon.WACommon_pb2 import MessageKey
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import Message, ProtocolMessage
from unplugged import Running, message, wire

from actors.whatsapp.neonize_client import _RECEIPTS
from client.references import known_message
from cluster.domain.history import GroupEvent
from cluster.domain.message import MessageFilter, StoredMessage
from cluster.domain.message_ref import MessageRef
from cluster.domain.poll import VOTE
from cluster.domain.wire_message import KINDS

pytestmark = pytest.mark.attack

AUTHOR, ADMIN, MEMBER, STRANGER = (
    pb.JID(User=f"491510000{n}", Server="s.whatsapp.net") for n in (2, 3, 5, 9)
)
GROUP, OTHER_GROUP, STATUS = (
    "120363000000000001@g.us",
    "120363000000000002@g.us",
    "status@broadcast",
)


@dataclass(frozen=True)
class Row:
    """What names something by its id."""

    #: Who may do it.
    who: str
    #: In which chat it counts.
    where: str
    #: The test here, or elsewhere, that tries it.
    test: str


_CHANGE = "tests/attack/test_rights.py::"
_HERE = "tests/integration/session/test_named_by_id.py::"
_LIBRARY = "tests/integration/sandbox/test_named_by_strangers.py::"
TABLE = {
    # -- contents of messages, by the kind that they are emitted as
    "edit": Row("its sender", "its own", f"{_CHANGE}test_nobody_but_its_sender_in_a_direct_chat"),
    "revoke": Row(
        "its sender; an admin of the group",
        "its own",
        f"{_CHANGE}test_only_who_has_the_right_changes_a_message_of_a_group",
    ),
    "reaction": Row(
        "anybody of the chat; it changes nothing but its own row",
        "the reaction's",
        f"{_HERE}test_what_is_about_a_message_changes_no_message",
    ),
    "pin": Row(
        "anybody; it is emitted, and changes nothing",
        "the pin's",
        f"{_HERE}test_what_is_about_a_message_changes_no_message",
    ),
    "protocol": Row(
        "nobody: other changes (keep in chat, history, keys) are the library's or nobody's",
        "none",
        f"{_HERE}test_what_is_about_a_message_changes_no_message",
    ),
    "poll_vote": Row(
        "anybody of the chat",
        "the poll's",
        f"{_HERE}test_a_vote_is_for_a_poll_of_its_own_chat",
    ),
    # -- receipts, by their types
    "delivered": Row("the chat's people", "the message's", f"{_HERE}test_receipts"),
    "inactive": Row("the chat's people", "the message's", f"{_HERE}test_receipts"),
    "read": Row("the chat's people", "the message's", f"{_HERE}test_receipts"),
    "played": Row("the chat's people", "the message's", f"{_HERE}test_receipts"),
    "sender": Row("the account's other devices", "the message's", f"{_HERE}test_receipts"),
    **dict.fromkeys(
        ("read-self", "played-self", "server-error", "peer", "history-sync"),
        Row("nobody: they change nothing", "none", f"{_HERE}test_receipts"),
    ),
    "retry": Row(
        "who it was sent to",
        "the message's",
        f"{_LIBRARY}test_a_stranger_gets_no_message_of_others_sent_again",
    ),
    # -- the rest
    "timer of a chat": Row(
        "both sides; in a group its admins",
        "the message's",
        f"{_HERE}test_a_member_sets_no_timer_of_a_group",
    ),
    "history": Row(
        "the account's own phone", "any", f"{_LIBRARY}test_a_stranger_brings_no_history_and_no_keys"
    ),
    "message sent again": Row(
        "the account's own phone",
        "any",
        "tests/integration/sandbox/test_forged_resend.py::test_a_stranger_forges_no_message_of_others",
    ),
    "copy of a message sent elsewhere": Row(
        "the account's own devices",
        "any",
        f"{_LIBRARY}test_a_stranger_sends_nothing_in_the_accounts_name",
    ),
    "group notification": Row(
        "WhatsApp", "the group that it is from", f"{_HERE}test_news_of_a_group_are_of_that_group"
    ),
    "call": Row(
        "anybody; nothing is kept of it", "none", f"{_HERE}test_a_call_that_ends_ends_no_other"
    ),
    "name of a message in the API": Row(
        "the first that had the id",
        "the named one",
        f"{_HERE}test_a_second_message_of_an_id_is_not_what_the_id_names",
    ),
}


def _jid(text: str) -> pb.JID:
    user, _, server = text.partition("@")
    return pb.JID(User=user, Server=server)


def _source(chat: str, sender: pb.JID, *, own: bool = False) -> pb.MessageSource:
    grouped = chat.endswith(("@g.us", "@broadcast"))
    return pb.MessageSource(Chat=_jid(chat), Sender=sender, IsFromMe=own, IsGroup=grouped)


def _text(jid: pb.JID) -> str:
    return f"{jid.User}@{jid.Server}"


def _key(message_id: str, chat: str, *, own: bool = True) -> MessageKey:
    return MessageKey(remoteJID=chat, fromMe=own, ID=message_id)


async def _sent(running: Running, chat: str, message_id: str, body: str = "precious") -> None:
    """A message of the account, as another device of it sent it."""
    own = pb.JID(User="4915100001", Server="s.whatsapp.net")
    said = message(
        Message(conversation=body), ID=message_id, MessageSource=_source(chat, own, own=True)
    )
    running.hears(17, wire(said))


async def _one(running: Running, chat: str, message_id: str) -> StoredMessage:
    (found,) = await running.stores.messages.find(running.session.record.id, message_id, chat=chat)
    return found


async def _events(running: Running, name: str) -> list[dict[str, object]]:
    found = await running.stores.events.list(running.session.record.id, limit=1000)
    return [event.payload for event in found if event.type == name]


async def _group(running: Running) -> None:
    session = running.session
    members = {_text(AUTHOR): "participant", _text(ADMIN): "admin", _text(MEMBER): "participant"}
    news = GroupEvent(jid=GROUP, at=datetime.now(UTC), subject="G", members=members)
    await running.stores.groups.write(session.record.id, session.epoch, news)


def test_the_table_has_everything_that_names_a_message() -> None:
    about = {"reaction", "edit", "revoke", "pin", "poll_vote", "protocol"}
    assert about <= set(KINDS.values()) | {"revoke"}
    assert about <= TABLE.keys()
    assert set(_RECEIPTS.values()) <= TABLE.keys()


def test_each_row_of_the_table_has_its_test() -> None:
    from pathlib import Path

    root = Path(__file__).parents[3]
    for row in TABLE.values():
        path, _, name = row.test.partition("::")
        assert re.search(rf"^(async )?def {name}\(", (root / path).read_text(), re.M), row.test


@pytest.mark.parametrize("chat", [_text(AUTHOR), GROUP, STATUS])
async def test_receipts(running: Running, chat: str) -> None:
    kinds = {name: number for number, name in _RECEIPTS.items()}
    elsewhere = [
        c for c in (_text(AUTHOR), _text(STRANGER), GROUP, OTHER_GROUP, STATUS) if c != chat
    ]
    for kind, code in kinds.items():
        name = f"3EB0{kind.encode().hex().upper()}"
        await _sent(running, chat, name)
        for other in elsewhere:
            sender = _jid(other) if other.endswith("s.whatsapp.net") else STRANGER
            said = pb.Receipt(
                MessageSource=_source(other, sender), MessageIDs=[name], Timestamp=1, Type=code
            )
            running.hears(18, said)
        await running.still_hears()
        assert (await _one(running, chat, name)).ack == 1, kind
    assert not await _events(running, "message.ack")
    assert not await _events(running, "message.ack.group")

    raised = {"delivered": 2, "inactive": 2, "sender": 2, "read": 3, "played": 4}
    for kind, code in kinds.items():
        name = f"3EB0{kind.encode().hex().upper()}"
        said = pb.Receipt(
            MessageSource=_source(chat, AUTHOR), MessageIDs=[name], Timestamp=1, Type=code
        )
        running.hears(18, said)
    await running.still_hears()
    for kind in kinds:
        name = f"3EB0{kind.encode().hex().upper()}"
        assert (await _one(running, chat, name)).ack == raised.get(kind, 1), kind
    emitted = await _events(
        running, "message.ack" if chat == _text(AUTHOR) else "message.ack.group"
    )
    assert len(emitted) == len(raised)


async def test_a_receipt_by_lid_is_of_the_chat_by_number(running: Running) -> None:
    """One person is one chat, by whichever address WhatsApp names it."""
    chat = _text(AUTHOR)
    await _sent(running, chat, "3EB0LID")
    lid = pb.JID(User="777", Server="lid")
    source = pb.MessageSource(Chat=lid, Sender=lid, SenderAlt=AUTHOR, IsFromMe=False, IsGroup=False)
    running.hears(18, pb.Receipt(MessageSource=source, MessageIDs=["3EB0LID"], Timestamp=1, Type=1))
    await running.still_hears()
    assert (await _one(running, chat, "3EB0LID")).ack == 2
    # From now on WhatsApp need not say whose it is.
    plain = pb.MessageSource(Chat=lid, Sender=lid, IsFromMe=False, IsGroup=False)
    running.hears(
        18,
        pb.Receipt(
            MessageSource=plain,
            MessageIDs=["3EB0LID"],
            Timestamp=1,
            Type=next(code for code, kind in _RECEIPTS.items() if kind == "read"),
        ),
    )
    await running.still_hears()
    assert (await _one(running, chat, "3EB0LID")).ack == 3


async def test_what_is_about_a_message_changes_no_message(running: Running) -> None:
    await _group(running)
    await _sent(running, GROUP, "3EB0MINE")
    await running.still_hears()
    before = await _one(running, GROUP, "3EB0MINE")
    key = _key("3EB0MINE", GROUP)
    said = []
    for chat in (GROUP, _text(MEMBER)):
        for kind in ProtocolMessage.Type.values():
            said.append((chat, Message(protocolMessage=ProtocolMessage(key=key, type=kind))))
        reaction, pin, keep = Message(), Message(), Message()
        reaction.reactionMessage.key.CopyFrom(key)
        reaction.reactionMessage.text = "x"
        pin.pinInChatMessage.key.CopyFrom(key)
        pin.pinInChatMessage.type = 1
        keep.keepInChatMessage.key.CopyFrom(key)
        keep.keepInChatMessage.keepType = 2
        encrypted = Message()
        encrypted.encEventResponseMessage.eventCreationMessageKey.CopyFrom(key)
        encrypted.encEventResponseMessage.encPayload = b"x"
        sealed = Message()
        sealed.secretEncryptedMessage.targetMessageKey.CopyFrom(key)
        sealed.secretEncryptedMessage.encPayload = b"x"
        commented = Message()
        commented.commentMessage.targetMessageKey.CopyFrom(key)
        commented.commentMessage.message.conversation = "x"
        said += [(chat, one) for one in (reaction, pin, keep, encrypted, sealed, commented)]
    for chat, content in said:
        running.hears(17, wire(message(content, MessageSource=_source(chat, MEMBER))))
    await running.still_hears()
    assert await _one(running, GROUP, "3EB0MINE") == before


async def test_a_vote_is_for_a_poll_of_its_own_chat(running: Running) -> None:
    """Votes are emitted with the options' texts, which are of the chat that asked."""
    poll = Message()
    poll.pollCreationMessage.name = "who?"
    for option in ("secret one", "secret two"):
        poll.pollCreationMessage.options.add(optionName=option)
    running.hears(17, wire(message(poll, ID="3EB0POLL", MessageSource=_source(GROUP, AUTHOR))))
    await running.still_hears()
    (asked,) = await running.stores.messages.find(running.session.record.id, "3EB0POLL")
    serving = running.session._serving
    assert serving is not None
    recorder = serving._recorder
    for chat, known in ((GROUP, True), (_text(MEMBER), False), (OTHER_GROUP, False)):
        vote = StoredMessage(
            message_id="3EB0VOTE",
            chat=chat,
            sender=_text(MEMBER),
            from_me=False,
            timestamp=datetime.now(UTC),
            kind="poll_vote",
            reply_to=asked.message_id,
            payload={VOTE: []},
        )
        assert ("selected" in str((await recorder._counted(vote)).payload)) is known


async def test_a_member_sets_no_timer_of_a_group(running: Running) -> None:
    await _group(running)
    now = int(datetime.now(UTC).timestamp())

    async def says(sender: pb.JID, seconds: int, chat: str = GROUP) -> None:
        setting = ProtocolMessage(
            type=ProtocolMessage.EPHEMERAL_SETTING,
            ephemeralExpiration=seconds,
            ephemeralSettingTimestamp=now,
        )
        context = Message()
        context.extendedTextMessage.text = "x"
        context.extendedTextMessage.contextInfo.expiration = seconds
        context.extendedTextMessage.contextInfo.ephemeralSettingTimestamp = now
        for content in (Message(protocolMessage=setting), context):
            running.hears(17, wire(message(content, MessageSource=_source(chat, sender))))
        await running.still_hears()

    await says(ADMIN, 86_400)
    await says(MEMBER, 60)
    assert await running.count("chat_timers", "chat = %(chat)s AND seconds = 86400", chat=GROUP)
    # In a chat of two it is either's right; nobody is known to have more of it in an unknown group.
    await says(MEMBER, 60, _text(MEMBER))
    await says(MEMBER, 60, OTHER_GROUP)
    assert await running.count("chat_timers", "seconds = 60") == 2


async def test_news_of_a_group_are_of_that_group(running: Running) -> None:
    await _group(running)
    running.hears(
        22, pb.GroupInfoEvent(JID=_jid(OTHER_GROUP), Timestamp=1, Leave=[AUTHOR], Demote=[ADMIN])
    )
    await running.still_hears()
    (group,) = [
        g for g in await running.stores.groups.list(running.session.record.id) if g.jid == GROUP
    ]
    assert group.members == {
        _text(AUTHOR): "participant",
        _text(ADMIN): "admin",
        _text(MEMBER): "participant",
    }


async def test_a_call_that_ends_ends_no_other(running: Running) -> None:
    """Calls are emitted and not kept: what names one by its id has nothing to change."""
    codes = {kind: code for code, kind in _subscribed().items()}
    meta = pb.BasicCallMeta(callID="CALL", callCreator=MEMBER)
    getattr(meta, "from").CopyFrom(MEMBER)
    end = pb.CallTerminate(basicCallMeta=meta, reason="x")
    running.hears(codes[pb.CallTerminate], wire(end))
    await running.still_hears()
    (emitted,) = await _events(running, "call.rejected")
    assert (emitted["id"], emitted["from"]) == (
        "CALL",
        _text(MEMBER).replace("s.whatsapp.net", "c.us"),
    )


def _subscribed() -> dict[int, type]:
    from actors.whatsapp.neonize_client import _SUBSCRIBED

    return _SUBSCRIBED


async def test_a_second_message_of_an_id_is_not_what_the_id_names(running: Running) -> None:
    """Whoever knows an id can send under it: a bare id names the message that had it first."""
    await _sent(running, GROUP, "3EB0TWICE")
    await running.still_hears()
    for n in range(12):
        sender = pb.JID(User=f"49151001{n:02}", Server="s.whatsapp.net")
        said = Message(conversation="decoy")
        source = _source(_text(sender), sender)
        later = int(datetime.now(UTC).timestamp()) + 60
        decoy = message(said, ID="3EB0TWICE", MessageSource=source, Timestamp=later)
        running.hears(17, wire(decoy))
    await running.still_hears()
    record, stores = running.session.record, running.stores
    for ref in (
        MessageRef(message_id="3EB0TWICE"),
        MessageRef(message_id="3EB0TWICE", chat=GROUP),
        MessageRef(message_id="3EB0TWICE", chat=GROUP, from_me=True),
    ):
        found = await known_message(stores, record, ref)
        assert found is not None
        assert (found.chat, found.body) == (GROUP, "precious")
    last = MessageRef(message_id="3EB0TWICE", chat="4915100111@s.whatsapp.net")
    found = await known_message(stores, record, last)
    assert found is not None
    assert found.body == "decoy"
    assert (
        await known_message(stores, record, MessageRef(message_id="3EB0TWICE", chat=STATUS)) is None
    )
    listed = await stores.messages.list(record.id, MessageFilter(chat=GROUP))
    assert [one.body for one in listed] == ["precious"]
