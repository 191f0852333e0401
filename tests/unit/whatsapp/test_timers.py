"""After how long messages disappear: what is learned of it, and what is sent with it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from neonize.proto import Neonize_pb2 as pb
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import Message

from actors.whatsapp.content import compose
from actors.whatsapp.jids import from_text
from actors.whatsapp.side_events import side_events_of
from cluster.domain.chat_timer import ChatTimer, timer_of
from cluster.domain.message import StoredMessage

BOB, GROUP = "4915100002@s.whatsapp.net", "120363000000000001@g.us"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def emitted(raw: dict[str, Any], chat: str = BOB) -> ChatTimer | None:
    return timer_of(
        StoredMessage(
            message_id="A",
            chat=chat,
            sender=BOB,
            from_me=False,
            timestamp=NOW,
            kind="text",
            payload={"message": raw},
        )
    )


def test_messages_and_the_setting_itself_report_the_timer() -> None:
    since = int(NOW.timestamp()) - 100
    setting = {"type": "EPHEMERAL_SETTING", "ephemeralExpiration": 86400}
    context = {"expiration": 86400, "ephemeralSettingTimestamp": str(since)}
    assert emitted({"protocolMessage": setting}) == ChatTimer(chat=BOB, seconds=86400, set_at=NOW)
    found = emitted({"extendedTextMessage": {"text": "x", "contextInfo": context}})
    assert found == ChatTimer(chat=BOB, seconds=86400, set_at=datetime.fromtimestamp(since, UTC))
    off = emitted({"protocolMessage": {"type": "EPHEMERAL_SETTING"}})
    assert off is not None
    assert off.seconds == 0


@pytest.mark.parametrize(
    "context",
    [{}, {"expiration": 0}, {"expiration": 4_000_000_000}, {"expiration": "x"}],
)
def test_what_says_nothing_of_a_timer_changes_none(context: dict[str, Any]) -> None:
    found = emitted({"extendedTextMessage": {"text": "x", "contextInfo": context}})
    assert found is None or (found.seconds == 0 and context == {"expiration": "x"})
    assert emitted({"conversation": "x"}) is None


def test_nobody_sets_a_timer_in_the_future() -> None:
    context = {"expiration": 60, "ephemeralSettingTimestamp": str(2**62)}
    found = emitted({"imageMessage": {"contextInfo": context}})
    assert found is not None
    assert found.set_at == NOW


def test_groups_report_theirs() -> None:
    event = pb.GroupInfoEvent(JID=from_text(GROUP), Timestamp=1_700_000_000, Notify="x")
    event.Ephemeral.IsEphemeral, event.Ephemeral.DisappearingTimer = True, 604800
    found = side_events_of(event, frozenset())
    assert found is not None
    (timer,) = found.timers
    assert (timer.chat, timer.seconds) == (GROUP, 604800)
    event.Ephemeral.DisappearingTimer = 2**32 - 1
    assert side_events_of(event, frozenset()) is None


@pytest.mark.parametrize(
    "content",
    [
        {"kind": "text", "text": "x"},
        {"kind": "text", "text": "x", "quoted": {"id": "A", "sender": BOB, "body": "y"}},
        {"kind": "location", "latitude": 1, "longitude": 2},
        {"kind": "contact", "contacts": [{"name": "a", "vcard": "b"}]},
        {"kind": "poll", "text": "q", "options": ["a"], "selectable": 1, "_secret": ""},
        {"kind": "event", "text": "e", "start": 1, "_secret": ""},
        {"kind": "list", "text": "l", "button": "b", "sections": []},
        {"kind": "forward", "message": {"conversation": "x"}},
        {"kind": "forward", "message": {"documentMessage": {"caption": "x"}}},
    ],
)
async def test_what_is_sent_has_the_chats_timer(content: dict[str, Any]) -> None:
    sent = await compose(content | {"_timer": {"seconds": 86400, "set_at": 1_700_000_000}})
    inner = sent.documentWithCaptionMessage.message
    message = inner if sent.HasField("documentWithCaptionMessage") else sent
    (part,) = (p for f, p in message.ListFields() if f.name not in {"messageContextInfo"})
    assert part.contextInfo.expiration == 86400
    assert part.contextInfo.ephemeralSettingTimestamp == 1_700_000_000
    plain = await compose(content)
    assert "expiration" not in str(plain)


@pytest.mark.parametrize(
    ("content", "score"),
    [
        ({"kind": "text", "text": "x", "forward_score": 1}, 1),
        ({"kind": "text", "text": "x", "mentions": ["1@lid"], "forward_score": 2}, 2),
        ({"kind": "location", "latitude": 1, "longitude": 2, "forward_score": 1}, 1),
        ({"kind": "contact", "contacts": [{"name": "a", "vcard": "b"}], "forward_score": 1}, 1),
        ({"kind": "list", "text": "l", "button": "b", "sections": [], "forward_score": 1}, 1),
        ({"kind": "forward", "message": {"conversation": "x"}}, 1),
        (
            {
                "kind": "forward",
                "message": {"imageMessage": {"contextInfo": {"forwardingScore": 3}}},
            },
            4,
        ),
    ],
)
async def test_what_is_forwarded_says_so_and_how_often(content: dict[str, Any], score: int) -> None:
    sent = await compose(content | {"_timer": {"seconds": 60, "set_at": 1}})
    (part,) = (p for f, p in sent.ListFields() if f.name != "messageContextInfo")
    assert part.contextInfo.isForwarded
    assert part.contextInfo.forwardingScore == score
    assert part.contextInfo.expiration == 60
    assert not part.contextInfo.mentionedJID


async def test_what_is_about_a_message_has_none() -> None:
    key = {"id": "A", "chat": BOB, "from_me": True, "sender": ""}
    timer = {"_timer": {"seconds": 86400, "set_at": 1}}
    for content in (
        {"kind": "reaction", "text": "x", "key": key},
        {"kind": "revoke", "key": key},
        {"kind": "edit", "text": "x", "key": key},
    ):
        assert "expiration" not in str(await compose(content | timer))


@pytest.mark.parametrize(
    ("kind", "field"),
    [("image", "imageMessage"), ("video", "videoMessage"), ("document", "documentMessage")],
)
async def test_the_edit_of_a_caption_is_of_its_files_kind(kind: str, field: str) -> None:
    key = {"id": "A", "chat": BOB, "from_me": True, "sender": ""}
    sent = await compose({"kind": "edit", "edits": kind, "text": "new", "key": key})
    edited = sent.editedMessage.message.protocolMessage.editedMessage
    if kind == "document":
        edited = edited.documentWithCaptionMessage.message
    assert getattr(edited, field).caption == "new"
    assert not edited.HasField("conversation")
    assert isinstance(edited, Message)
