"""A phone's history in the gateway's own terms, and what events say of groups."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from neonize.proto.waHistorySync.WAWebProtobufsHistorySync_pb2 import HistorySync
from neonize.proto.waWeb.WAWebProtobufsWeb_pb2 import WebMessageInfo

from actors.session.group_events import group_event_of
from actors.whatsapp.history import chunks_of
from cluster.domain.message import Ack, StoredMessage

OWN = "4915100001@s.whatsapp.net"
BOB = "4915100002@s.whatsapp.net"
LID = "77000000000001@lid"
GROUP = "120363000000000001@g.us"


def sync(**fields: Any) -> HistorySync:
    return HistorySync(syncType=HistorySync.HistorySyncType.RECENT, **fields)


def add(conversation: Any, message_id: str, text: str, seconds: int, **key: Any) -> Any:
    info = conversation.messages.add().message
    info.key.ID, info.key.fromMe = message_id, key.pop("from_me", False)
    info.key.participant = key.pop("participant", "")
    info.message.conversation = text
    info.messageTimestamp = seconds
    return info


def messages(data: HistorySync) -> list[StoredMessage]:
    return [one for chunk in chunks_of(data, OWN) for one in chunk.messages]


def test_who_is_who_comes_before_what_was_said() -> None:
    data = sync()
    data.phoneNumberToLidMappings.add(lidJID=LID, pnJID=BOB)
    chat = data.conversations.add(ID="88000000000001@lid", pnJID="4915100003@s.whatsapp.net")
    add(chat, "A", "hi", 1_700_000_000)
    first, *_ = chunks_of(data, OWN)
    assert first.pairs == ((LID, BOB), ("88000000000001@lid", "4915100003@s.whatsapp.net"))


def test_messages_are_oldest_first_and_the_newest_unread() -> None:
    data = sync()
    chat = data.conversations.add(ID=BOB, unreadCount=1, conversationTimestamp=1_700_000_009)
    add(chat, "C", "three", 1_700_000_003, from_me=True).status = WebMessageInfo.DELIVERY_ACK
    add(chat, "B", "two", 1_700_000_002)
    add(chat, "A", "one", 1_700_000_001)
    found = messages(data)
    assert [(m.message_id, m.ack) for m in found] == [
        ("A", Ack.READ),
        ("B", Ack.DEVICE),
        ("C", Ack.DEVICE),
    ]
    assert [m.sender for m in found] == [BOB, BOB, OWN]
    (listed,) = [one for chunk in chunks_of(data, OWN) for one in chunk.chats]
    assert listed.last_at == datetime.fromtimestamp(1_700_000_003, UTC)


def test_reactions_and_deletions_are_kept_and_protocol_is_not() -> None:
    data = sync()
    chat = data.conversations.add(ID=GROUP, name="Friends")
    liked = add(chat, "A", "like me", 1_700_000_001, participant=f"{LID[:-4]}:3@lid")
    liked.reactions.add(text="👍", senderTimestampMS=1_700_000_005_000).key.ID = "R"
    gone = add(chat, "B", "", 1_700_000_002)
    gone.ClearField("message")
    gone.messageStubType = WebMessageInfo.REVOKE
    quiet = add(chat, "P", "", 1_700_000_003)
    quiet.message.protocolMessage.type = 5
    quiet.message.ClearField("conversation")
    found = {m.message_id: m for m in messages(data)}
    assert found.keys() == {"A", "R", "B"}
    assert found["A"].sender == LID
    assert (found["R"].kind, found["R"].reply_to, found["R"].body) == ("reaction", "A", "👍")
    assert found["B"].revoked_at is not None


def test_large_chats_come_in_pieces() -> None:
    data = sync()
    chat = data.conversations.add(ID=BOB)
    for n in range(601):
        add(chat, f"M{n}", "x", 1_700_000_000 + n)
    sizes = [len(chunk.messages) for chunk in chunks_of(data, OWN) if chunk.messages]
    assert sizes == [250, 250, 101]


def test_events_of_groups_become_news() -> None:
    now = datetime(2026, 1, 1, 12, 0, 0, 500, tzinfo=UTC)

    def news(name: str, **payload: Any) -> Any:
        group = {"id": GROUP} | payload.pop("group", {})
        return group_event_of(name, {"timestamp": 1_700_000_000, "group": group} | payload, now)

    joined = news(
        "group.v2.join",
        group={
            "subject": "Friends",
            "description": "",
            "participants": [{"id": LID, "pn": "4915100002@c.us", "role": "admin"}],
        },
    )
    assert (joined.subject, joined.members, joined.joined) == ("Friends", {BOB: "admin"}, True)
    assert joined.at == now.replace(microsecond=0)
    people = [{"id": "4915100002@c.us", "role": "participant"}]
    assert news("group.v2.participants", type="leave", participants=people).gone == (BOB,)
    assert news("group.v2.participants", type="join", participants=people).changed == {
        BOB: "participant"
    }
    assert news("group.v2.leave").joined is False
    assert news("group.v2.update", group={"subject": "Foes"}).subject == "Foes"
    assert group_event_of("call.received", {}, now) is None
