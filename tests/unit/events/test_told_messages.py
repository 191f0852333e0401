"""Messages in WAHA's shape: what they reply to, their files, whom they name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import FutureProofMessage, Message

from actors.whatsapp.incoming import as_json, describe
from cluster.domain.message import StoredMessage
from cluster.domain.session import Me
from cluster.domain.wire_message import (
    FILES,
    TEXTS,
    WORDLESS,
    has_text,
    is_view_once,
    kind_and_text,
    with_text,
)
from cluster.events.envelope import Event, EventSource, envelope
from cluster.events.message_shape import message_payload, reaction_payload
from cluster.events.poll_shape import vote_payload
from cluster.events.stored_message import to_event

ME = Me(id="4915100000001@c.us", lid="111@lid")
BOB, BOB_LID = "4915100000002@s.whatsapp.net", "222@lid"
GROUP = "120363000000000001@g.us"
FILES_URL = "https://gw/api/files/alice"
IMAGE = {"caption": "look", "mimetype": "image/png", "fileSHA256": "qrs=", "directPath": "/v/x"}


def received(raw: dict[str, Any], chat: str = BOB, **more: Any) -> StoredMessage:
    kind, body, reply_to = describe(raw)
    payload = {"message": raw} | more.pop("payload", {})
    return StoredMessage(
        message_id="3EB0A", chat=chat, sender=BOB, from_me=False,
        timestamp=datetime(2026, 1, 1, tzinfo=UTC), kind=kind, body=body, reply_to=reply_to,
        payload=payload, **more,
    )  # fmt: skip


def test_every_field_of_a_message_says_where_its_text_is() -> None:
    """A new library's fields have to be looked at."""
    wrapping, noted = set(), {"sendPaymentMessage", "requestPaymentMessage"}
    for field in Message.DESCRIPTOR.fields:
        inner = field.message_type.fields_by_name.get("message") if field.message_type else None
        if inner is not None and inner.message_type is Message.DESCRIPTOR:
            wrapping.add(field.name)
    known = set(TEXTS) | WORDLESS | wrapping | noted | {"conversation", "protocolMessage"}
    assert {f.name for f in Message.DESCRIPTOR.fields} == known
    for name, paths in TEXTS.items():
        for path in paths:
            part = Message.DESCRIPTOR.fields_by_name[name].message_type
            for step in path.split("."):
                field = part.fields_by_name[step]
                part = field.message_type
            assert field.type == field.TYPE_STRING, (name, path)
    assert FILES.keys() <= {f.name for f in Message.DESCRIPTOR.fields}


@pytest.mark.parametrize(
    ("raw", "body"),
    [
        ({"templateButtonReplyMessage": {"selectedDisplayText": "Confirm"}}, "Confirm"),
        ({"buttonsResponseMessage": {"selectedDisplayText": "Yes"}}, "Yes"),
        ({"buttonsMessage": {"contentText": "Choose"}}, "Choose"),
        ({"listResponseMessage": {"title": "Pizza"}}, "Pizza"),
        ({"interactiveMessage": {"body": {"text": "Tap"}}}, "Tap"),
        ({"interactiveResponseMessage": {"body": {"text": "Tapped"}}}, "Tapped"),
        ({"productMessage": {"body": "A shoe"}}, "A shoe"),
        ({"orderMessage": {"message": "Two shoes"}}, "Two shoes"),
        ({"templateMessage": {"hydratedTemplate": {"hydratedContentText": "Hello"}}}, "Hello"),
        ({"documentMessage": {"title": "report.pdf", "fileName": "report.pdf"}}, ""),
        (
            {"documentWithCaptionMessage": {"message": {"documentMessage": {"caption": "c"}}}},
            "c",
        ),
        ({"ephemeralMessage": {"message": {"conversation": "hi"}}}, "hi"),
        ({"sendPaymentMessage": {"noteMessage": {"conversation": "rent"}}}, "rent"),
        ({"commentMessage": {"message": {"conversation": "nice"}}}, "nice"),
    ],
)
def test_what_people_read_is_the_body(raw: dict[str, Any], body: str) -> None:
    assert kind_and_text(raw)[1] == body


def test_wrapped_and_plain_messages_read_alike() -> None:
    plain = Message(conversation="hi")
    for field in Message.DESCRIPTOR.fields:
        if field.message_type is FutureProofMessage.DESCRIPTOR:
            wrapped = Message()
            getattr(wrapped, field.name).message.CopyFrom(plain)
            assert kind_and_text(as_json(wrapped)) == ("text", "hi"), field.name


@pytest.mark.parametrize("chat", [BOB, GROUP])
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_reply_names_what_it_replies_to(chat: str, wrapped: bool) -> None:
    context = {
        "stanzaID": "3EB0B", "participant": ME.lid, "quotedMessage": {"imageMessage": IMAGE},
    }  # fmt: skip
    raw: dict[str, Any] = {"extendedTextMessage": {"text": "nice", "contextInfo": context}}
    raw = {"ephemeralMessage": {"message": raw}} if wrapped else raw
    reply_to = message_payload(received(raw, chat), ME, files=FILES_URL)["replyTo"]
    assert (reply_to["id"], reply_to["participant"], reply_to["body"]) == ("3EB0B", ME.id, "look")
    assert reply_to["hasMedia"]
    assert reply_to["media"]["url"].startswith(f"{FILES_URL}/true_")
    assert reply_to["media"]["mimetype"] == "image/png"


def test_an_own_reply_says_the_same_in_answer_and_history() -> None:
    quoted = {"id": "3EB0B", "sender": BOB_LID, "body": "old", "_sender": BOB}
    message = replace(
        received({"conversation": "x"}),
        from_me=True, via_api=True, reply_to="3EB0B",
        payload={"content": {"kind": "text", "text": "x", "quoted": quoted}},
    )  # fmt: skip
    reply_to = message_payload(message, ME)["replyTo"]
    assert (reply_to["participant"], reply_to["body"], reply_to["hasMedia"]) == (
        "4915100000002@c.us", "old", False,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["message", "message.any", "message.edited", "message.revoked"])
def test_files_have_a_url_in_events(name: str) -> None:
    message = received({"imageMessage": IMAGE})
    event = Event(
        id="evt_1", session_id=1, seq=1, type=name, payload=to_event(message),
        happened_at=message.timestamp,
    )  # fmt: skip
    payload = envelope(event, EventSource(name="alice", me=ME, files=FILES_URL))["payload"]
    payload = payload.get("after", payload)
    assert payload["media"]["url"] == f"{FILES_URL}/false_4915100000002@c.us_3EB0A.png"
    assert payload["mediaUrl"] == payload["media"]["url"]
    assert payload["hasMedia"]


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("../../etc/passwd", ".._.._etc_passwd"),
        ("C:\\Windows\\x.dll", "C:_Windows_x.dll"),
        ("fatura nº 3.pdf", "fatura nº 3.pdf"),
        ("a\nb\u202egpj.exe", "abgpj.exe"),
        ("x" * 999, "x" * 255),
    ],
)
def test_a_strangers_file_name_names_no_folder(given: str, named: str) -> None:
    document = IMAGE | {"mimetype": "application/pdf", "fileName": given}
    payload = message_payload(received({"documentMessage": document}), ME, files=FILES_URL)
    assert payload["media"]["filename"] == named


def _places(part: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Where a message can have a file of its own: not in what it quotes, wraps or lists."""
    files = {Message.DESCRIPTOR.fields_by_name[name].message_type for name in FILES}
    for field in part.fields:
        kind = field.message_type
        if kind is None or field.is_repeated or len(path) > 5 or field.name in path:
            continue
        if kind in files:
            yield (*path, field.name)
        elif kind not in {Message.DESCRIPTOR, FutureProofMessage.DESCRIPTOR} and not (
            # A template in a template is no longer sent by any app.
            field.name in {"contextInfo", "messageContextInfo", "protocolMessage"}
            or (path and field.name in {"highlyStructuredMessage", "content", "carouselMessage"})
            or (field.name == "footer" and "fourRowTemplate" in path)
        ):
            yield from _places(kind, (*path, field.name))


def test_every_place_of_a_file_is_known() -> None:
    """A new library's, too."""
    places = list(_places(Message.DESCRIPTOR))
    assert len(places) > 25
    for name in ("message", "message.any", "message.edited"):
        for place in places:
            part: dict[str, Any] = IMAGE
            for step in reversed(place):
                part = {step: part}
            for raw in (part, {"ephemeralMessage": {"message": part}}):
                event = Event(
                    id="evt_1", session_id=1, seq=1, type=name,
                    payload=to_event(received(raw)), happened_at=datetime.now(UTC),
                )  # fmt: skip
                sent = envelope(event, EventSource(name="alice", me=ME, files=FILES_URL))["payload"]
                assert (sent["hasMedia"], bool(sent["mediaUrl"])) == (True, True), place
                context = {"stanzaID": "3EB0B", "participant": BOB, "quotedMessage": raw}
                reply = {"extendedTextMessage": {"text": "x", "contextInfo": context}}
                quoted = message_payload(received(reply), ME, files=FILES_URL)["replyTo"]
                assert quoted["hasMedia"], place
                assert quoted["media"]["url"], place


@pytest.mark.parametrize(
    ("raw", "once"),
    [
        ({"imageMessage": IMAGE}, False),
        ({"imageMessage": IMAGE | {"viewOnce": True}}, True),
        ({"viewOnceMessage": {"message": {"imageMessage": IMAGE}}}, True),
        ({"viewOnceMessageV2": {"message": {"videoMessage": IMAGE}}}, True),
        ({"viewOnceMessageV2Extension": {"message": {"audioMessage": IMAGE}}}, True),
        ({"ephemeralMessage": {"message": {"viewOnceMessageV2": {"message": {}}}}}, True),
        ({"ephemeralMessage": {"message": {"conversation": "x"}}}, False),
        ({"extendedTextMessage": {"viewOnce": "true"}}, False),
        ({}, False),
    ],
)
def test_what_may_be_viewed_once(raw: dict[str, Any], once: bool) -> None:
    assert is_view_once(raw) is once


def test_a_deleted_message_has_no_file() -> None:
    gone = received({"imageMessage": IMAGE}, has_media=True, revoked_at=datetime.now(UTC))
    payload = message_payload(gone, ME, files=FILES_URL)
    assert (payload["hasMedia"], payload["media"], payload["mediaUrl"]) == (False, None, "")


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        ({"imageMessage": IMAGE}, "media"),
        ({"locationMessage": {"degreesLatitude": 1.5, "comment": "here"}}, "location"),
        ({"contactMessage": {"vcard": "BEGIN:VCARD"}}, "vCards"),
    ],
)
def test_what_is_forwarded_keeps_its_fields(raw: dict[str, Any], field: str) -> None:
    original = received(raw)
    forwarded = replace(
        original, kind="forward", from_me=True, via_api=True,
        payload={"content": {"kind": "forward", "message": raw}},
    )  # fmt: skip
    before, after = (message_payload(m, ME, files=FILES_URL) for m in (original, forwarded))
    assert after["hasMedia"] is before["hasMedia"]
    if field == "media":
        before["media"].pop("url"), after["media"].pop("url")
    assert after[field] == before[field]
    assert after[field]
    if field == "location":
        assert after[field]["description"] == "here"


def test_people_are_named_by_number_in_votes_and_reactions() -> None:
    phones = {BOB_LID: BOB}
    key = {"remoteJID": GROUP, "ID": "3EB0P", "participant": BOB_LID, "fromMe": False}
    vote = received(
        {
            "pollUpdateMessage": {
                "pollCreationMessageKey": key,
                "senderTimestampMS": "1700000000123",
            }
        },
        GROUP,
        payload={"phones": phones},
    )
    payload = vote_payload(vote, ME)
    assert payload["poll"]["id"] == f"false_{GROUP}_3EB0P_4915100000002@c.us"
    assert payload["poll"]["from"] == payload["poll"]["participant"] == "4915100000002@c.us"
    assert payload["vote"]["timestamp"] == 1_700_000_000_123
    mine = received(
        {"pollUpdateMessage": {"pollCreationMessageKey": key | {"participant": ME.lid}}}, GROUP
    )
    assert vote_payload(mine, ME)["poll"]["id"] == f"true_{GROUP}_3EB0P_{ME.id}"
    voters_own = received(
        {"pollUpdateMessage": {"pollCreationMessageKey": {"ID": "3EB0P", "fromMe": True}}}, GROUP
    )
    assert vote_payload(voters_own, ME)["poll"]["id"] == payload["poll"]["id"]
    reaction = received(
        {"reactionMessage": {"key": key, "text": "x"}}, GROUP, payload={"phones": phones}
    )
    assert reaction_payload(reaction, ME)["reaction"]["messageId"] == payload["poll"]["id"]


def test_a_vote_by_the_api_names_the_poll_as_events_do() -> None:
    for chat, poll in ((BOB, "false_4915100000002@c.us_3EB0P"), (GROUP, None)):
        key = {"id": "3EB0P", "from_me": False, "sender": BOB_LID, "_sender": BOB}
        vote = replace(
            received({"conversation": ""}, chat), kind="poll_vote", from_me=True, via_api=True,
            sender="4915100000001@s.whatsapp.net",
            payload={"content": {"key": key, "options": ["a"]}},
        )  # fmt: skip
        found = vote_payload(vote, ME)["poll"]
        assert found["id"] == poll or found["id"] == f"false_{GROUP}_3EB0P_4915100000002@c.us"
        assert found["from"] == "4915100000002@c.us"


def test_an_edited_message_is_shown_as_edited() -> None:
    text = {"extendedTextMessage": {"text": "old", "matchedText": "x", "contextInfo": {"a": 1}}}
    assert with_text(text, "new") == {
        "extendedTextMessage": {"text": "new", "contextInfo": {"a": 1}}
    }
    assert with_text({"conversation": "old"}, "new") == {"conversation": "new"}
    image = {"ephemeralMessage": {"message": {"imageMessage": IMAGE}}}
    edited = with_text(image, "new")["ephemeralMessage"]["message"]["imageMessage"]
    assert edited == IMAGE | {"caption": "new"}
    assert not has_text("poll")


def test_what_the_library_says_of_a_message_is_under_data() -> None:
    info = message_payload(received({"conversation": "x"}), ME)["_data"]["Info"]
    assert {
        "AddressingMode", "SenderAlt", "RecipientAlt", "ServerID", "MediaType", "Category",
        "Multicast", "Edit",
    } <= info.keys()  # fmt: skip


def test_an_ack_says_its_participant_as_messages_do() -> None:
    event = Event(
        id="evt_1", session_id=1, seq=1, type="message.ack", happened_at=datetime.now(UTC),
        payload={"chat": BOB, "id": "3EB0A", "ack": 2, "by": BOB},
    )  # fmt: skip
    assert envelope(event, EventSource(name="a", me=ME))["payload"]["participant"] == ""


@pytest.mark.parametrize("name", ["message", "message.reaction", "message.edited", "poll.vote"])
@pytest.mark.parametrize("field", sorted(f.name for f in Message.DESCRIPTOR.fields))
def test_nothing_that_a_stranger_leaves_out_keeps_an_event_from_being_emitted(
    name: str, field: str
) -> None:
    """What is over the bounds of a message is cut, anywhere: see `actors.whatsapp.bounds`."""
    strange = {"key": None, "contextInfo": None, "contacts": [None, 1]}
    parts: tuple[Any, ...] = (None, {}, [], "x", strange)
    for part in parts:
        message = replace(
            received({"conversation": "x"}), kind=field, reply_to="3EB0B",
            payload={"message": {field: part}},
        )  # fmt: skip
        event = Event(
            id="evt_1", session_id=1, seq=1, type=name, payload=to_event(message),
            happened_at=message.timestamp,
        )  # fmt: skip
        assert envelope(event, EventSource(name="alice", me=ME, files=FILES_URL))["event"] == name
        describe({field: part})
