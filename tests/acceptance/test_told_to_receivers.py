"""What users' own software gets to see: a webhook's receiver and the phones are the judges."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx
import pytest
from event_receiver import Receiver
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import (
    ButtonsResponseMessage,
    DocumentMessage,
    EncEventResponseMessage,
    FutureProofMessage,
    ImageMessage,
    Message,
    ProtocolMessage,
    TemplateButtonReplyMessage,
)
from people import People, Person
from running_gateway import RunningGateway, until
from sample_media import photo
from waha.generated.models import EventResponsePayload
from waiting import stays_while_blocking
from websockets.sync.client import connect

PDF = b"%PDF-1.4 a document"


@dataclass
class Delivered:
    """Alice's and Bob's sessions deliver all to one receiver; the phones are Bob's and Carol's."""

    people: People
    receiver: Receiver
    group: str

    @property
    def gateway(self) -> RunningGateway:
        return self.people.gateway

    def event(self, name: str, fits: Callable[[dict[str, Any]], bool], who: Person) -> Any:
        """The payload of an event of a session, as the receiver got it."""

        def found() -> Any:
            for event in self.receiver.events(name):
                if event["session"] == who.session and fits(event["payload"]):
                    return event["payload"]
            return None

        return until(found, 60, what=f"{name} of {who.session}")

    def message(self, wire_id: str, who: Person, name: str = "message.any") -> Any:
        return self.event(name, lambda payload: wire_id in payload["id"], who)

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        answer = self.gateway.api.post(path, json=body)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def arrived(self, sent: dict[str, Any], at: Person) -> dict[str, Any]:
        wire_id = sent["id"].split("_")[2]
        return until(
            lambda: next((e for e in at.phone.inbox() if e["id"] == wire_id), None),
            what=f"{wire_id} on the phone",
        )

    def any(self, sender: Person, to: Person, message: Message) -> str:
        data = base64.b64encode(message.SerializeToString()).decode()
        return str(sender.phone.post("/messages/any", to=to.phone.number, data=data)["id"])

    def history(self, who: Person, chat: str, wire_id: str) -> dict[str, Any]:
        found = until(
            lambda: [m for m in self.gateway.history(who.session, chat) if wire_id in m["id"]],
            what="in the history",
        )
        return dict(found[0])


@pytest.fixture(scope="module")
def delivered(people: People) -> Iterator[Delivered]:
    gateway = people.gateway
    with Receiver.running() as receiver:
        hooks = [{"url": receiver.url, "events": ["*"]}]
        for who in (people.alice, people.bob):
            path = f"/api/sessions/{who.session}"
            gateway.api.put(path, json={"config": {"webhooks": hooks}}).raise_for_status()
            gateway.working(who.session)
        members = [{"id": one.chat} for one in (people.bob, people.carol)]
        made = gateway.api.post(
            f"/api/{people.alice.session}/groups",
            json={"name": "Delivered", "participants": members},
        )
        group = made.raise_for_status().json()
        yield Delivered(people, receiver, str(group.get("id") or group.get("JID")))
        for who in (people.alice, people.bob):
            gateway.api.put(f"/api/sessions/{who.session}", json={"config": {}}).raise_for_status()
            gateway.working(who.session)


def test_a_file_can_be_fetched_by_the_url_in_every_event(delivered: Delivered) -> None:
    alice, bob = delivered.people.alice, delivered.people.bob
    data = photo("PNG", (64, 48))
    state = delivered.gateway.state
    socket = state.url.replace("http", "ws")
    with connect(
        f"{socket}/ws?session={alice.session}&events=message&x-api-key={state.api_key}"
    ) as live:
        sent = bob.phone.post(
            "/messages", to=alice.phone.number, media="image", mimetype="image/png",
            text="look", data=base64.b64encode(data).decode(),
        )["id"]  # fmt: skip

        over_socket = json.loads(live.recv(timeout=30))["payload"]
    at_hook = delivered.message(sent, alice)
    pulled = [
        e["payload"]
        for e in delivered.gateway.api.get(
            f"/api/{alice.session}/events", params={"events": "message", "limit": 1000}
        ).json()["events"]
        if sent in e["payload"]["id"]
    ]
    in_history = delivered.history(alice, bob.chat, sent)
    key = {"X-Api-Key": state.api_key}
    for payload in (at_hook, over_socket, *pulled, in_history):
        assert payload["hasMedia"]
        assert payload["mediaUrl"] == payload["media"]["url"]
        got = httpx.get(payload["media"]["url"], headers=key, timeout=60, trust_env=False)
        assert (got.status_code, got.content) == (200, data)
    assert httpx.get(at_hook["media"]["url"], trust_env=False).status_code == 401


def test_a_reply_contains_what_it_replies_to(delivered: Delivered) -> None:
    alice, bob = delivered.people.alice, delivered.people.bob
    image = {"mimetype": "image/png", "data": base64.b64encode(photo("PNG", (40, 40))).decode()}
    sent = delivered.post(
        "/api/sendImage", session=alice.session, chatId=bob.chat, file=image, caption="this one"
    )
    delivered.arrived(sent, bob)
    answer = bob.phone.post(
        "/messages", to=alice.phone.number, text="nice", reply_to=sent["id"].split("_")[2]
    )["id"]
    for payload in (delivered.message(answer, alice), delivered.history(alice, bob.chat, answer)):
        reply = payload["replyTo"]
        assert reply["id"] == sent["id"].split("_")[2]
        assert (reply["participant"], reply["body"]) == (alice.chat, "this one")

    # Over the API, of a picture, to the phone and everywhere it is reported.
    again = delivered.post(
        "/api/sendText", session=alice.session, chatId=bob.chat, text="mine", reply_to=sent["id"]
    )
    quoted = delivered.arrived(again, bob)["message"]["extendedTextMessage"]["contextInfo"]
    assert quoted["quotedMessage"]["imageMessage"]["caption"] == "this one"
    wire_id = again["id"].split("_")[2]
    at_bob = delivered.message(wire_id, bob, "message")
    assert (at_bob["replyTo"]["hasMedia"], at_bob["replyTo"]["participant"]) == (True, alice.chat)
    for payload in (
        again,
        delivered.message(wire_id, alice),
        delivered.history(alice, bob.chat, wire_id),
        at_bob,
    ):
        reply = payload["replyTo"]
        assert (reply["participant"], reply["body"]) == (alice.chat, "this one")
        assert reply["hasMedia"]
        if payload is not at_bob:
            key = {"X-Api-Key": delivered.gateway.state.api_key}
            got = httpx.get(reply["media"]["url"], headers=key, timeout=60, trust_env=False)
            assert got.content == base64.b64decode(image["data"])


def test_a_message_has_one_id_by_whatever_address_it_was_sent(delivered: Delivered) -> None:
    """Answer, events, acks and history; edits, reactions and deletions of it, too."""
    alice, bob = delivered.people.alice, delivered.people.bob
    api, file = delivered.gateway.api, {"data": base64.b64encode(PDF).decode()}
    for chat in (bob.lid, bob.jid, bob.phone.number, f"+{bob.phone.number}"):
        for path, more in (("sendText", {"text": "one id"}), ("sendFile", {"file": file})):
            sent = delivered.post(f"/api/{path}", session=alice.session, chatId=chat, **more)
            wire_id = sent["id"].split("_")[2]
            assert (sent["id"], sent["to"]) == (f"true_{bob.chat}_{wire_id}", bob.chat), chat
            delivered.arrived(sent, bob)
            acked = delivered.message(wire_id, alice, "message.ack")
            seen = (
                delivered.message(wire_id, alice),
                delivered.history(alice, bob.chat, wire_id),
                acked,
            )
            assert {one["id"] for one in seen} == {sent["id"]}
    path = f"/api/{alice.session}/chats/{bob.lid}/messages"
    text = delivered.post("/api/sendText", session=alice.session, chatId=bob.lid, text="v1")
    by_lid = text["id"].replace(bob.chat, bob.lid)
    edited = api.put(f"{path}/{by_lid}", json={"text": "v2"}).raise_for_status().json()
    reacted = api.put(
        "/api/reaction", json={"session": alice.session, "messageId": by_lid, "reaction": "x"}
    ).raise_for_status()
    assert [edited["to"], reacted.json()["to"]] == [bob.chat, bob.chat]
    starred = {"session": alice.session, "chatId": bob.chat, "messageId": by_lid, "star": True}
    assert api.put("/api/star", json=starred).is_success
    foreign = starred | {"chatId": delivered.people.carol.chat, "messageId": text["id"]}
    refused = api.put("/api/star", json=foreign)
    assert (refused.status_code, refused.json()["field"]) == (422, "messageId")
    assert api.delete(f"{path}/{by_lid}").is_success


def test_what_is_tapped_is_the_body_and_a_documents_title_is_not(delivered: Delivered) -> None:
    alice, bob = delivered.people.alice, delivered.people.bob
    taps = {
        "Confirm": Message(
            templateButtonReplyMessage=TemplateButtonReplyMessage(
                selectedID="1", selectedDisplayText="Confirm"
            )
        ),
        "Yes": Message(
            buttonsResponseMessage=ButtonsResponseMessage(
                selectedButtonID="1", selectedDisplayText="Yes",
                type=ButtonsResponseMessage.DISPLAY_TEXT,
            )
        ),
        "": Message(documentMessage=DocumentMessage(title="report.pdf", fileName="report.pdf")),
    }  # fmt: skip
    for body, message in taps.items():
        sent = delivered.any(bob, alice, message)
        assert delivered.message(sent, alice, "message")["body"] == body


def test_a_polls_id_in_a_group_is_the_same_everywhere(delivered: Delivered) -> None:
    alice, bob, carol = delivered.people.alice, delivered.people.bob, delivered.people.carol
    poll = {"name": "When?", "options": ["Mon", "Tue"]}
    asked = delivered.post(
        "/api/sendPoll", session=alice.session, chatId=delivered.group, poll=poll
    )
    wire_id = asked["id"].split("_")[2]
    assert delivered.message(wire_id, alice)["id"] == asked["id"]
    delivered.arrived(asked, carol)
    carol.phone.post(f"/polls/{wire_id}/votes", options=["Mon"])
    vote = delivered.event("poll.vote", lambda p: wire_id in p["poll"]["id"], alice)
    assert vote["poll"]["id"] == asked["id"]
    assert vote["poll"]["participant"] == vote["poll"]["from"] == alice.chat
    assert vote["vote"]["participant"] == carol.chat
    assert abs(vote["vote"]["timestamp"] / 1000 - time.time()) < 60

    # Somebody else's: reported by the message, by a vote over the API, and by another's vote.
    theirs = bob.phone.post(
        "/polls",
        to=delivered.group,
        question="Who?",
        options=["I", "You"],
    )["id"]
    seen = delivered.message(theirs, alice, "message")["id"]
    delivered.post(
        "/api/sendPollVote", session=alice.session, chatId=delivered.group, pollMessageId=seen,
        votes=["I"],
    )  # fmt: skip
    until(lambda: any(e["id"] == theirs for e in carol.phone.inbox()), what="the poll")
    carol.phone.post(f"/polls/{theirs}/votes", options=["You"])
    for voter in (alice, carol):

        def cast_by(payload: dict[str, Any], who: str = voter.chat) -> bool:
            return theirs in payload["poll"]["id"] and payload["vote"]["participant"] == who

        vote = delivered.event("poll.vote", cast_by, alice)
        assert (vote["poll"]["id"], vote["poll"]["from"]) == (seen, bob.chat)


def test_reactions_and_replies_in_a_group_name_people_by_number(delivered: Delivered) -> None:
    alice, bob, carol = delivered.people.alice, delivered.people.bob, delivered.people.carol
    theirs = bob.phone.post("/messages", to=delivered.group, text="hello all")["id"]
    seen = delivered.message(theirs, alice, "message")["id"]
    assert seen.endswith(bob.chat)
    reply = delivered.post(
        "/api/sendText", session=alice.session, chatId=delivered.group, text="hello", reply_to=seen
    )
    assert reply["replyTo"]["participant"] == bob.chat
    own = delivered.gateway.api.put(
        "/api/reaction", json={"session": alice.session, "messageId": seen, "reaction": "x"}
    )
    assert own.is_success, own.text
    until(lambda: any(e["id"] == theirs for e in carol.phone.inbox()), what="the message")
    carol.phone.post("/react", message_id=theirs, emoji="y")
    for emoji in ("x", "y"):

        def shows(payload: dict[str, Any], wanted: str = emoji) -> bool:
            return payload["reaction"]["text"] == wanted and theirs in str(payload)

        reaction = delivered.event("message.reaction", shows, alice)
        assert reaction["reaction"]["messageId"] == seen
    read = delivered.post(f"/api/{alice.session}/chats/{delivered.group}/messages/read")
    assert seen in read["ids"]


def test_a_groups_changes_say_who(delivered: Delivered) -> None:
    alice, carol = delivered.people.alice, delivered.people.carol
    path = f"/api/{alice.session}/groups/{delivered.group}/participants"
    person = {"participants": [{"id": carol.chat}]}
    for action, kind, role in (("remove", "leave", "left"), ("add", "join", "participant")):
        delivered.gateway.api.post(f"{path}/{action}", json=person).raise_for_status()

        def of_that_kind(payload: dict[str, Any], wanted: str = kind) -> bool:
            return bool(payload["type"] == wanted)

        payload = delivered.event("group.v2.participants", of_that_kind, alice)
        (one,) = payload["participants"]
        assert (one["id"], one["pn"], one["role"]) == (carol.lid, carol.chat, role)
    joined = delivered.event(
        "group.v2.join", lambda p: delivered.group in p["group"]["id"], delivered.people.bob
    )
    assert joined["timestamp"] <= time.time()
    assert joined["timestamp"] >= time.time() - 600


def test_answers_to_events_are_emitted(delivered: Delivered) -> None:
    alice, carol = delivered.people.alice, delivered.people.carol
    event = {"name": "Nails", "startTime": 2063137000, "extraGuestsAllowed": True}

    def sent(who: Person, chat: str) -> tuple[str, str]:
        made = delivered.post(f"/api/{who.session}/events", chatId=chat, event=event)
        delivered.arrived(made, carol)
        return made["id"], made["id"].split("_")[2]

    def answer(wire_id: str, response: str, guests: int, who: Person) -> dict[str, Any]:
        body = {"response": response, "guests": guests}
        carol.phone.post(f"/events/{wire_id}/answers", **body)
        payload = delivered.event(
            "event.response", lambda p: wire_id in p["eventCreationKey"]["id"], who
        )
        got = payload["eventResponse"]
        assert (got["response"], got["extraGuestCount"]) == (response, guests)
        assert abs(got["timestampMs"] / 1000 - time.time()) < 120
        EventResponsePayload.model_validate(payload)
        return dict(payload)

    waha_id, wire_id = sent(alice, carol.chat)
    payload = answer(wire_id, "GOING", 2, alice)
    assert payload["eventCreationKey"] == {
        "id": waha_id, "to": carol.chat, "from": alice.chat, "fromMe": True, "participant": None,
    }  # fmt: skip
    assert (payload["from"], payload["fromMe"]) == (carol.chat, False)

    waha_id, wire_id = sent(alice, delivered.group)
    payload = answer(wire_id, "NOT_GOING", 0, alice)
    key = payload["eventCreationKey"]
    assert (key["id"], key["fromMe"], key["participant"]) == (waha_id, True, alice.chat)
    assert payload["participant"] == carol.chat

    # Of two others, whom the group knows by LID.
    public_id, wire_id = sent(delivered.people.bob, delivered.group)
    delivered.message(wire_id, alice)
    payload = answer(wire_id, "GOING", 1, alice)
    key = payload["eventCreationKey"]
    assert key["id"] == public_id.replace("true_", "false_")
    assert (key["fromMe"], key["participant"]) == (False, delivered.people.bob.chat)
    assert payload["participant"] == carol.chat


def test_an_answer_to_an_event_that_nobody_knows_is_emitted_as_failed(delivered: Delivered) -> None:
    alice, bob = delivered.people.alice, delivered.people.bob
    part = EncEventResponseMessage(encPayload=b"x" * 40, encIV=b"i" * 12)
    part.eventCreationMessageKey.ID = "3EB0NOBODYKNOWSIT00"
    part.eventCreationMessageKey.remoteJID = "1@lid"
    wire_id = delivered.any(bob, alice, Message(encEventResponseMessage=part))
    payload = delivered.event("event.response.failed", lambda p: wire_id in p["id"], alice)
    assert payload["eventResponse"] is None


def test_what_is_forwarded_has_its_file(delivered: Delivered) -> None:
    alice, bob, carol = delivered.people.alice, delivered.people.bob, delivered.people.carol
    data = photo("PNG", (50, 50))
    theirs = bob.phone.post(
        "/messages", to=alice.phone.number, media="image", mimetype="image/png", text="pass on",
        data=base64.b64encode(data).decode(),
    )["id"]  # fmt: skip
    seen = delivered.message(theirs, alice)["id"]
    sent = delivered.post(
        "/api/forwardMessage", session=alice.session, chatId=carol.chat, messageId=seen
    )
    wire_id = sent["id"].split("_")[2]
    delivered.arrived(sent, carol)
    key = {"X-Api-Key": delivered.gateway.state.api_key}
    for payload in (
        sent, delivered.message(wire_id, alice), delivered.history(alice, carol.chat, wire_id),
    ):  # fmt: skip
        assert (payload["hasMedia"], payload["body"]) == (True, "pass on")
        assert payload["media"]["mimetype"] == "image/png"
        got = httpx.get(payload["media"]["url"], headers=key, timeout=60, trust_env=False)
        assert got.content == data


def test_edited_messages_are_forwarded_and_quoted_as_they_are_shown(delivered: Delivered) -> None:
    alice, bob, carol = delivered.people.alice, delivered.people.bob, delivered.people.carol
    theirs = bob.phone.post("/messages", to=alice.phone.number, text="old text")["id"]
    seen = delivered.message(theirs, alice)["id"]
    bob.phone.post("/edit", message_id=theirs, text="new text")
    until(
        lambda: delivered.history(alice, bob.chat, theirs)["body"] == "new text",
        what="the edited text",
    )
    sent = delivered.post(
        "/api/forwardMessage", session=alice.session, chatId=carol.chat, messageId=seen
    )
    assert delivered.arrived(sent, carol)["text"] == sent["body"] == "new text"
    reply = delivered.post(
        "/api/sendText", session=alice.session, chatId=bob.chat, text="why?", reply_to=seen
    )
    context = delivered.arrived(reply, bob)["message"]["extendedTextMessage"]["contextInfo"]
    assert context["quotedMessage"] == {"conversation": "new text"}

    own = delivered.gateway.send(alice.session, bob.chat, "v1")
    delivered.arrived(own, bob)
    changed = delivered.gateway.api.put(
        f"/api/{alice.session}/chats/{bob.chat}/messages/{own['id']}", json={"text": "v2"}
    )
    assert changed.is_success, changed.text
    again = delivered.post(
        "/api/forwardMessage", session=alice.session, chatId=carol.chat, messageId=own["id"]
    )
    arrived = delivered.arrived(again, carol)
    assert arrived["text"] == "v2"
    context = arrived["message"]["extendedTextMessage"]["contextInfo"]
    assert (context["isForwarded"], context["forwardingScore"]) == (True, 1)


def test_deleted_messages_are_not_sent_on(delivered: Delivered) -> None:
    alice, bob, carol = delivered.people.alice, delivered.people.bob, delivered.people.carol
    data = base64.b64encode(photo("PNG", (30, 30))).decode()
    text = bob.phone.post("/messages", to=alice.phone.number, text="secret to delete")["id"]
    image = bob.phone.post(
        "/messages", to=alice.phone.number, media="image", mimetype="image/png", data=data
    )["id"]
    own = delivered.gateway.send(alice.session, bob.chat, "own secret")
    delivered.arrived(own, bob)
    seen = [delivered.message(one, alice)["id"] for one in (text, image)]
    file = delivered.message(image, alice)["media"]["url"]
    for one in (text, image):
        bob.phone.post("/edit", message_id=one)
    api = delivered.gateway.api
    api.delete(f"/api/{alice.session}/chats/{bob.chat}/messages/{own['id']}").raise_for_status()
    key = {"X-Api-Key": delivered.gateway.state.api_key}
    until(
        lambda: httpx.get(file, headers=key, trust_env=False).status_code == 404,
        what="the file is gone",
    )
    for one in (*seen, own["id"]):
        body = {"session": alice.session, "chatId": carol.chat}
        forward = api.post("/api/forwardMessage", json=body | {"messageId": one})
        quote = api.post("/api/sendText", json=body | {"text": "x", "reply_to": one})
        react = api.put(
            "/api/reaction", json={"session": alice.session, "messageId": one, "reaction": "x"}
        )
        assert [a.status_code for a in (forward, quote, react)] == [404] * 3, one
    edited = api.put(
        f"/api/{alice.session}/chats/{bob.chat}/messages/{own['id']}", json={"text": "back"}
    )
    assert edited.status_code == 404
    assert delivered.history(alice, bob.chat, image.split("_")[0])["media"] is None


_ONCE = ImageMessage(mimetype="image/png", caption="only once", viewOnce=True)


@pytest.mark.parametrize(
    "message",
    [
        Message(imageMessage=_ONCE),
        Message(viewOnceMessage=FutureProofMessage(message=Message(imageMessage=_ONCE))),
        Message(viewOnceMessageV2=FutureProofMessage(message=Message(imageMessage=_ONCE))),
        Message(viewOnceMessageV2Extension=FutureProofMessage(message=Message(imageMessage=_ONCE))),
    ],
    ids=["bare", "first", "v2", "extension"],
)
def test_what_may_be_viewed_once_is_not_sent_on(delivered: Delivered, message: Message) -> None:
    """And a reply names its kind, not what it shows."""
    alice, bob, carol = delivered.people.alice, delivered.people.bob, delivered.people.carol
    wire_id = delivered.any(bob, alice, message)
    seen = delivered.message(wire_id, alice)["id"]
    body = {"session": alice.session, "chatId": carol.chat, "messageId": seen}
    refused = delivered.gateway.api.post("/api/forwardMessage", json=body)
    problem = refused.json()
    assert (refused.status_code, problem["field"]) == (422, "messageId"), refused.text
    assert "viewed once" in problem["detail"]
    reply = delivered.post(
        "/api/sendText", session=alice.session, chatId=bob.chat, text="nice", reply_to=seen
    )
    context = delivered.arrived(reply, bob)["message"]["extendedTextMessage"]["contextInfo"]
    assert context["quotedMessage"] == {"imageMessage": {"viewOnce": True}}
    assert wire_id not in str(carol.phone.inbox())


def test_files_that_are_not_wanted_are_left_out(delivered: Delivered) -> None:
    alice, bob = delivered.people.alice, delivered.people.bob
    wire_id = bob.phone.post(
        "/messages", to=alice.phone.number, media="image", mimetype="image/png", text="a file",
        data=base64.b64encode(photo("PNG", (20, 20))).decode(),
    )["id"]  # fmt: skip
    seen = delivered.message(wire_id, alice)["id"]
    chat = f"/api/{alice.session}/chats/{bob.chat}/messages"
    older = {"session": alice.session, "chatId": bob.chat}
    queries: tuple[tuple[dict[str, Any], bool], ...] = (
        ({}, True),
        ({"downloadMedia": True}, True),
        ({"downloadMedia": False}, False),
        ({"downloadMediaMimetypes": ["video/", "image/"]}, True),
        ({"downloadMediaMimetypes": "video/,audio/"}, False),
    )
    for query, there in queries:
        for path, more in ((chat, {}), (f"{chat}/{seen}", {}), ("/api/messages", older)):
            answer = delivered.gateway.api.get(path, params=query | more).raise_for_status().json()
            found = answer if isinstance(answer, list) else [answer]
            (message,) = (one for one in found if wire_id in one["id"])
            assert (message["hasMedia"], message["body"]) == (True, "a file")
            assert (message["media"] is not None, bool(message["mediaUrl"])) == (there, there)


@pytest.mark.parametrize(
    ("path", "part"), [("sendImage", "imageMessage"), ("sendFile", "document")]
)
def test_a_captions_edit_is_one_of_the_captions(delivered: Delivered, path: str, part: str) -> None:
    alice, bob = delivered.people.alice, delivered.people.bob
    file = {"mimetype": "image/png", "data": base64.b64encode(photo("PNG", (30, 30))).decode()}
    if part == "document":
        file = {"mimetype": "application/pdf", "data": base64.b64encode(PDF).decode()}
    sent = delivered.post(
        f"/api/{path}", session=alice.session, chatId=bob.chat, file=file, caption="cap1"
    )
    delivered.arrived(sent, bob)
    changed = delivered.gateway.api.put(
        f"/api/{alice.session}/chats/{bob.chat}/messages/{sent['id']}", json={"text": f"new {part}"}
    )
    assert changed.is_success, changed.text
    entry = until(
        lambda: next((e for e in bob.phone.inbox() if e["text"] == f"new {part}"), None),
        what="the edit",
    )
    edited = entry["message"]["protocolMessage"]["editedMessage"]
    if part == "document":
        edited = edited["documentWithCaptionMessage"]["message"]
    assert next(iter(edited.values())) == {"caption": f"new {part}"}
    assert next(iter(edited)).startswith(part)
    shown = delivered.history(alice, bob.chat, sent["id"].split("_")[2])
    assert (shown["body"], shown["hasMedia"]) == (f"new {part}", True)


def test_what_is_sent_into_a_chat_with_a_timer_disappears(delivered: Delivered) -> None:
    alice, bob = delivered.people.alice, delivered.people.bob
    since = int(time.time()) - 5

    def timer(seconds: int) -> Message:
        return Message(
            protocolMessage=ProtocolMessage(
                type=ProtocolMessage.EPHEMERAL_SETTING,
                ephemeralExpiration=seconds,
                ephemeralSettingTimestamp=since if seconds else int(time.time()),
            )
        )

    delivered.any(bob, alice, timer(86_400))
    mark = bob.phone.post("/messages", to=alice.phone.number, text="the timer is set")["id"]
    seen = delivered.message(mark, alice)["id"]
    body = {"session": alice.session, "chatId": bob.chat}
    file = {"mimetype": "image/png", "data": base64.b64encode(photo("PNG", (30, 30))).decode()}
    pdf = {"mimetype": "application/pdf", "data": base64.b64encode(PDF).decode()}
    for path, more in (
        ("sendText", {"text": "plain"}),
        ("sendText", {"text": "reply", "reply_to": seen}),
        ("sendImage", {"file": file}),
        ("sendFile", {"file": pdf, "caption": "c"}),
        ("sendPoll", {"poll": {"name": "q", "options": ["a", "b"]}}),
        ("sendLocation", {"latitude": 1, "longitude": 2}),
        ("forwardMessage", {"messageId": seen}),
    ):
        sent = delivered.post(f"/api/{path}", **body, **more)
        entry = delivered.arrived(sent, bob)
        found = re.findall(r"'expiration': (\d+)", str(entry["message"]))
        assert found == ["86400"], (path, entry["message"])
        assert f"'ephemeralSettingTimestamp': '{since}'" in str(entry["message"])
    delivered.any(bob, alice, timer(0))
    mark = bob.phone.post("/messages", to=alice.phone.number, text="the timer is off")["id"]
    delivered.message(mark, alice)
    assert (
        "conversation"
        in delivered.arrived(delivered.post("/api/sendText", **body, text="x"), bob)["message"]
    )


def test_a_send_that_cannot_be_says_why_and_leaves_no_chat(delivered: Delivered) -> None:
    alice, bob = delivered.people.alice, delivered.people.bob
    api, nobody = delivered.gateway.api, "4915999999999@c.us"
    send = {"session": alice.session, "chatId": nobody, "text": "x"}
    refused = api.post("/api/sendText", json=send)
    assert refused.status_code == 422, refused.text
    listed = api.get(f"/api/{alice.session}/chats", params={"limit": 1000}).json()
    assert nobody not in [chat["id"] for chat in listed]

    made = api.post(
        f"/api/{alice.session}/groups", json={"name": "Left", "participants": [{"id": bob.chat}]}
    ).json()
    group = str(made.get("id") or made.get("JID"))
    api.post(f"/api/{alice.session}/groups/{group}/leave").raise_for_status()
    refused = api.post("/api/sendText", json=send | {"chatId": group})
    assert refused.status_code == 403, refused.text


def test_names_are_those_of_the_address_book_and_of_the_phone(
    delivered: Delivered, session_name: Callable[[], str]
) -> None:
    alice, gateway, bob = delivered.people.alice, delivered.gateway, delivered.people.bob
    name, phone = session_name(), gateway.phone("Renate")
    gateway.paired(name, phone)
    until(lambda: gateway.info(name)["me"]["pushName"] == "Renate", what="the name after linking")
    phone.post("/messages", to=bob.phone.number, text="named")
    # A chat that the API begins, and one that is in the address book.
    stranger = gateway.phone("Nobody's friend")
    gateway.send(name, stranger.chat, "hello")
    gateway.api.put(
        f"/api/{name}/contacts/{bob.chat}", json={"firstName": "Roberto", "lastName": "Ção"}
    ).raise_for_status()
    phone.post(
        "/settings", chat=stranger.number, setting="contact", on=True, name="Saved on the phone"
    )

    def names(path: str) -> dict[str, Any]:
        found = gateway.api.get(f"/api/{name}/{path}").raise_for_status().json()
        return {chat["id"]: chat["name"] for chat in found}

    wanted = {bob.chat: "Roberto Ção", stranger.chat: "Saved on the phone"}

    def as_wanted(path: str) -> bool:
        return wanted.items() <= names(path).items()

    for path in ("chats", "chats/overview"):
        until(partial(as_wanted, path), what=str(names(path)))
    gateway.api.post(f"/api/sessions/{name}/stop").raise_for_status()
    assert wanted.items() <= names("chats").items()
    gateway.api.post(f"/api/sessions/{name}/start").raise_for_status()
    gateway.working(name)
    assert alice.session

    gateway.api.put(f"/api/{name}/profile/name", json={"name": "Renata"}).raise_for_status()
    until(lambda: gateway.info(name)["me"]["pushName"] == "Renata", what="the new name")

    hooks = [{"url": delivered.receiver.url, "events": ["session.status"]}]
    gateway.api.put(
        f"/api/sessions/{name}", json={"config": {"webhooks": hooks}}
    ).raise_for_status()
    gateway.working(name)
    phone.control.delete(f"/phones/{phone.number}/devices/{phone.devices()[0]['device']}")

    def failed() -> list[Any]:
        return [
            event["payload"]
            for event in delivered.receiver.events("session.status")
            if event["session"] == name and event["payload"]["status"] == "FAILED"
        ]

    until(failed, what="the device is unlinked")
    stays_while_blocking(lambda: len(failed()) == 1, 2)


@pytest.mark.parametrize(
    ("file", "mimetype", "name"),
    [
        ({"filename": "boleto.pdf"}, "application/pdf", "boleto.pdf"),
        ({"mimetype": "application/pdf"}, "application/pdf", "file.pdf"),
        ({"mimetype": "application/octet-stream", "filename": "b"}, "application/pdf", "b.pdf"),
        ({}, "application/pdf", "file.pdf"),
    ],
)
def test_a_document_can_be_opened(
    delivered: Delivered, file: dict[str, str], mimetype: str, name: str
) -> None:
    alice, bob = delivered.people.alice, delivered.people.bob
    data = base64.urlsafe_b64encode(PDF).decode().rstrip("=")
    sent = delivered.post(
        "/api/sendFile", session=alice.session, chatId=bob.chat, file=file | {"data": data}
    )
    part = delivered.arrived(sent, bob)["message"]["documentMessage"]
    assert (part["mimetype"], part["fileName"]) == (mimetype, name)
    head = delivered.gateway.api.head(sent["media"]["url"])
    assert (head.status_code, head.headers["content-length"]) == (200, str(len(PDF)))


def test_what_is_no_video_or_no_type_is_refused(delivered: Delivered) -> None:
    alice, bob = delivered.people.alice, delivered.people.bob
    body = {"session": alice.session, "chatId": bob.chat}
    picture = {"data": base64.b64encode(photo("PNG", (30, 30))).decode(), "mimetype": "video/mp4"}
    answer = delivered.gateway.api.post("/api/sendVideo", json=body | {"file": picture})
    assert answer.status_code == 422, answer.text
    file = {"data": base64.b64encode(PDF).decode(), "mimetype": "not a mime"}
    answer = delivered.gateway.api.post("/api/sendFile", json=body | {"file": file})
    assert (answer.status_code, "mimetype" in answer.text) == (422, True)


def test_cards_of_address_books_have_their_names(delivered: Delivered) -> None:
    alice, bob = delivered.people.alice, delivered.people.bob
    jorg = (
        "BEGIN:VCARD\r\nVERSION:2.1\r\n"
        "FN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:=4A=C3=B6=72=67\r\nTEL:+1\r\nEND:VCARD"
    )
    ana = "begin:vcard\nVERSION:3.0\nN:Silva;Ana\nTEL:+2\nend:vcard"
    sent = delivered.post(
        "/api/sendContactVcard", session=alice.session, chatId=bob.chat,
        contacts=[{"vcard": f"{jorg}\r\n{ana}"}],
    )  # fmt: skip
    cards = delivered.arrived(sent, bob)["message"]["contactsArrayMessage"]["contacts"]
    assert [card["displayName"] for card in cards] == ["Jörg", "Ana Silva"]
