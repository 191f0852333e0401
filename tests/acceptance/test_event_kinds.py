"""Kinds of events, caused by phones through the real library, judged by WAHA's own models."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import psutil
import pytest
from people import People, Person
from running_gateway import RunningGateway, until
from waha.generated import models as waha

from ops.local.layout import Layout

Payload = dict[str, Any]


def emitted(gateway: RunningGateway, session: str, *names: str) -> list[Payload]:
    """Payloads of a session's events of these names, in order."""
    answer = gateway.api.get(
        f"/api/{session}/events", params={"events": ",".join(names), "limit": 1000}
    )
    return [event["payload"] for event in answer.raise_for_status().json()["events"]]


@pytest.fixture
def hears(people: People) -> Callable[..., Payload]:
    """Wait for an event of Alice's session with these facts; gives its payload."""

    def wait(name: str, /, **facts: Any) -> Payload:
        def fits(payload: Payload) -> bool:
            return all(payload.get(key) == value for key, value in facts.items())

        return until(
            lambda: next(
                (p for p in emitted(people.gateway, people.alice.session, name) if fits(p)), None
            ),
            what=f"{name} {facts}",
        )

    return wait


def test_labels_and_archived_chats_of_the_phone(
    people: People, hears: Callable[..., Payload]
) -> None:
    alice, bob = people.alice, people.bob

    def put(path: str, **body: Any) -> None:
        answer = alice.phone.control.put(f"/phones/{alice.phone.number}{path}", json=body)
        assert answer.is_success, answer.text

    put("/labels/5", name="From the phone", color=2)
    label = waha.Label.model_validate(hears("label.upsert", id="5"))
    assert (label.name, label.color, label.colorHex) == ("From the phone", 2, "#ffd429")
    put("/labels/5/chats", chat=bob.phone.number)
    added = waha.LabelChatAssociation.model_validate(hears("label.chat.added", labelId="5"))
    assert (added.chatId, added.label.name) == (bob.chat, "From the phone")
    of_chat = people.waha.labels.get_chat_labels(alice.session, bob.chat)
    assert "From the phone" in [one["name"] for one in of_chat], "the API knows it as well"
    put("/labels/5/chats", chat=bob.phone.number, labeled=False)
    waha.LabelChatAssociation.model_validate(hears("label.chat.deleted", labelId="5"))
    put("/labels/5", name="From the phone", color=2, deleted=True)
    waha.Label.model_validate(hears("label.deleted", id="5"))

    made = people.waha.labels.create(alice.session, {"name": "From the API", "color": 1})
    hears("label.upsert", id=made["id"], name="From the API")

    alice.phone.post("/settings", chat=bob.phone.number, setting="archive")
    archived = waha.ChatArchiveEvent.model_validate(hears("chat.archive", archived=True))
    assert archived.id == bob.chat
    alice.phone.post("/settings", chat=bob.phone.number, setting="archive", on=False)
    hears("chat.archive", id=bob.chat, archived=False)


def test_calls(people: People, hears: Callable[..., Payload]) -> None:
    alice, carol = people.alice, people.carol
    for answer, name in (("accept", "call.accepted"), ("terminate", "call.rejected")):
        call = carol.phone.post("/calls", to=alice.phone.number, video=answer == "accept")
        ringing = waha.CallData.model_validate(hears("call.received", id=call["id"]))
        assert ringing.from_ == carol.chat
        assert (ringing.isVideo, ringing.isGroup) == (answer == "accept", False)
        carol.phone.post(
            f"/calls/{call['id']}",
            to=alice.phone.number,
            caller=carol.phone.number,
            answer=answer,
        )
        waha.CallData.model_validate(hears(name, id=call["id"]))


def test_a_group_from_joining_to_leaving(people: People, hears: Callable[..., Payload]) -> None:
    alice, bob, carol = people.alice, people.bob, people.carol
    made = people.waha.groups.create_group(
        bob.session, {"name": "Events", "participants": [{"id": alice.chat}]}
    )
    group = str(made["JID"])

    def of_group(name: str, **facts: Any) -> Payload:
        return until(
            lambda: next(
                (
                    p
                    for p in emitted(people.gateway, alice.session, name)
                    if p["group"]["id"] == group and all(p.get(k) == v for k, v in facts.items())
                ),
                None,
            ),
            what=f"{name} {facts}",
        )

    joined = waha.GroupV2JoinEvent.model_validate(of_group("group.v2.join"))
    assert joined.group.subject == "Events"
    people.waha.groups.add_participants(bob.session, group, {"participants": [{"id": carol.chat}]})
    added = waha.GroupV2ParticipantsEvent.model_validate(
        of_group("group.v2.participants", type="join")
    )
    assert added.group.id == group
    people.waha.groups.set_subject(bob.session, group, {"subject": "Renamed"})
    update = waha.GroupV2UpdateEvent.model_validate(of_group("group.v2.update"))
    assert update.group["subject"] == "Renamed"

    sent = people.gateway.send(alice.session, group, "to all")
    ack = hears("message.ack.group", id=sent["id"])
    waha.WAMessageAckBody.model_validate(ack)
    assert ack["participant"] in {bob.chat, carol.chat}
    assert not [
        a for a in emitted(people.gateway, alice.session, "message.ack") if a["id"] == sent["id"]
    ]

    people.waha.groups.remove_participants(
        bob.session, group, {"participants": [{"id": alice.chat}]}
    )
    waha.GroupV2LeaveEvent.model_validate(of_group("group.v2.leave"))


def test_what_the_gateway_itself_emits(people: People, hears: Callable[..., Payload]) -> None:
    alice, gateway = people.alice, people.gateway
    sent = gateway.send(alice.session, people.bob.chat, "status please")
    status = hears("message.status", id=sent["id"].split("_")[2])
    assert status["status"] in {"sent", "delivered", "read"}
    checkpoint = hears("session.checkpoint")
    assert checkpoint["size"] > 0
    assert checkpoint["count"] >= 1
    states = [p["state"] for p in emitted(gateway, alice.session, "state.change")]
    assert states[:3] == ["UNPAIRED", "PAIRING", "CONNECTED"]

    # Nobody has asked for what the library says, until a webhook names it.
    assert emitted(gateway, alice.session, "engine.event") == []
    before = gateway.info(alice.session)["config"] or {}
    hooks = [{"url": "https://example.invalid/", "events": ["engine.event"]}]
    changed = gateway.api.put(
        f"/api/sessions/{alice.session}", json={"config": before | {"webhooks": hooks}}
    )
    changed.raise_for_status()
    gateway.working(alice.session)
    people.carol.phone.post("/messages", to=alice.phone.number, text="for the engine")
    said = until(
        lambda: [
            p for p in emitted(gateway, alice.session, "engine.event") if p["event"] == "Message"
        ],
        what="what the library said of it",
    )
    waha.EnginePayload.model_validate(said[0])
    gateway.api.put(f"/api/sessions/{alice.session}", json={"config": before}).raise_for_status()
    gateway.working(alice.session)


def test_presence_votes_and_messages_that_wait(
    people: People, hears: Callable[..., Payload]
) -> None:
    alice, carol, gateway = people.alice, people.carol, people.gateway
    people.waha.presence.subscribe(alice.session, carol.chat)
    carol.phone.post("/typing", to=alice.phone.number)
    seen = waha.WAHAChatPresences.model_validate(hears("presence.update", id=carol.chat))
    assert seen.presences[0].participant == carol.chat

    poll = carol.phone.post("/polls", to=alice.phone.number, question="Lunch?", options=["a", "b"])
    known = until(lambda: _message(gateway, alice, carol, poll["id"]), what="the poll")
    people.waha.chatting.send_poll_vote(
        {"session": alice.session, "chatId": carol.chat, "pollMessageId": known, "votes": ["b"]}
    )
    vote = until(lambda: emitted(gateway, alice.session, "poll.vote"), what="the own vote")[-1]
    own = waha.PollVotePayload.model_validate(vote)
    assert (own.vote.selectedOptions, own.vote.fromMe) == (["b"], True)
    assert (own.poll.id, own.poll.fromMe) == (known, False)

    control = f"/phones/{carol.phone.number}"
    carol.phone.control.patch(control, json={"spoils": 1}).raise_for_status()
    sent = carol.phone.post("/messages", to=alice.phone.number, text="damaged on the way")
    waiting = hears("message.waiting", id=f"false_{carol.chat}_{sent['id']}")
    assert waiting["from"] == carol.chat
    whole = hears("message", id=waiting["id"])
    waha.WAMessage.model_validate(whole)
    assert whole["body"] == "damaged on the way"


def test_a_takeover_is_emitted(people: People, hears: Callable[..., Payload]) -> None:
    before = people.gateway.info(people.alice.session)["gateway"]["epoch"]
    os.kill(_process(people.gateway, people.alice), signal.SIGKILL)
    taken = hears("session.takeover", epoch=before + 1)
    assert taken["how"]
    people.gateway.working(people.alice.session)
    assert people.gateway.info(people.alice.session)["gateway"]["epoch"] == before + 1


def _message(gateway: RunningGateway, own: Person, other: Person, wire_id: str) -> str | None:
    """Id of a message in the history of a chat."""
    found = gateway.history(own.session, other.chat)
    return next((str(one["id"]) for one in found if wire_id in one["id"]), None)


def _process(gateway: RunningGateway, person: Person) -> int:
    """Pid of the session's process: Ray names its log after it."""
    for log in (Layout.at(gateway.data).ray / "session_latest" / "logs").glob("worker-*.out"):
        pid = int(log.stem.rsplit("-", 1)[1])
        named = f"SessionActor(default/{person.session} " in log.read_text(errors="replace")
        if named and psutil.pid_exists(pid) and "SessionActor" in psutil.Process(pid).cmdline()[0]:
            return pid
    raise LookupError(person.session)
