"""Kinds of events, caused by phones through the real library, judged by WAHA's own models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from people import People
from running_gateway import RunningGateway, until
from waha.generated import models as waha

Payload = dict[str, Any]


def told(gateway: RunningGateway, session: str, *names: str) -> list[Payload]:
    """Payloads of a session's events of these names, in order."""
    answer = gateway.api.get(
        f"/api/{session}/events", params={"events": ",".join(names), "limit": 1000}
    )
    return [event["payload"] for event in answer.raise_for_status().json()["events"]]


@pytest.fixture
def hears(people: People) -> Callable[..., Payload]:
    """Wait for an event of Alice's session with these facts; gives its payload."""

    def wait(name: str, **facts: Any) -> Payload:
        def fits(payload: Payload) -> bool:
            return all(payload.get(key) == value for key, value in facts.items())

        return until(
            lambda: next(
                (p for p in told(people.gateway, people.alice.session, name) if fits(p)), None
            ),
            what=f"{name} {facts}",
        )

    return wait


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
                    for p in told(people.gateway, alice.session, name)
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
        a for a in told(people.gateway, alice.session, "message.ack") if a["id"] == sent["id"]
    ]

    people.waha.groups.remove_participants(
        bob.session, group, {"participants": [{"id": alice.chat}]}
    )
    waha.GroupV2LeaveEvent.model_validate(of_group("group.v2.leave"))


def test_what_the_gateway_itself_tells(people: People, hears: Callable[..., Payload]) -> None:
    alice, gateway = people.alice, people.gateway
    sent = gateway.send(alice.session, people.bob.chat, "status please")
    status = hears("message.status", id=sent["id"].split("_")[2])
    assert status["status"] in {"sent", "delivered", "read"}
    checkpoint = hears("session.checkpoint")
    assert checkpoint["size"] > 0
    assert checkpoint["count"] >= 1
    states = [p["state"] for p in told(gateway, alice.session, "state.change")]
    assert states[:3] == ["UNPAIRED", "PAIRING", "CONNECTED"]

    # Nobody has asked for what the library says, until a webhook names it.
    assert told(gateway, alice.session, "engine.event") == []
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
            p for p in told(gateway, alice.session, "engine.event") if p["event"] == "Message"
        ],
        what="what the library said of it",
    )
    waha.EnginePayload.model_validate(said[0])
    gateway.api.put(f"/api/sessions/{alice.session}", json={"config": before}).raise_for_status()
    gateway.working(alice.session)
