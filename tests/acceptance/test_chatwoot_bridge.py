"""Chatwoot's stand-in and the phones agree on every message: through the front door, both ways."""

from __future__ import annotations

import base64
import contextlib
import os
from collections.abc import Iterator
from typing import Any

import httpx
import psutil
import pytest
from chatwoot.stand_in import Chatwoot
from people import PICTURE, People
from running_gateway import until

#: Titles of the processes that host sessions.
OWNERS = ("SessionHost", "SessionActor", "SessionPack")


@pytest.fixture
def chatwoot() -> Iterator[Chatwoot]:
    # Where the gateway of the tests may fetch files from.
    with Chatwoot.running("127.0.0.2") as one:
        yield one
    assert one.refused == [], "what was asked is what Chatwoot documents"


@pytest.fixture
def app(people: People, chatwoot: Chatwoot) -> Iterator[dict[str, Any]]:
    wanted = {
        "session": people.alice.session,
        "app": "chatwoot",
        "config": chatwoot.config(outgoing="message"),
    }
    made = people.waha.apps.create(wanted)
    chatwoot.webhook = made["config"]["webhook"]
    yield made
    people.waha.apps.delete(made["id"])


@pytest.mark.skipif(
    not os.environ.get("GATEWAY_SLOW_TESTS"), reason="files both ways: GATEWAY_SLOW_TESTS"
)
def test_both_sides_have_every_message_once(
    people: People, chatwoot: Chatwoot, app: dict[str, Any]
) -> None:
    alice, bob = people.alice, people.bob
    bob.phone.post("/messages", to=alice.phone.number, text="a *question*")
    until(lambda: chatwoot.texts(bob.jid) == ["a **question**"], what="the question")
    question = chatwoot.messages_of(bob.jid)[0]
    contact = chatwoot.contact(bob.jid)
    assert contact is not None
    assert contact["phone_number"] == f"+{bob.phone.number}"

    # Delivered three times, sent once; nothing of it comes back.
    number, answers = chatwoot.agent_writes(
        bob.jid, "an **answer**", times=3, in_reply_to=question["id"]
    )
    assert answers == [200, 200, 200]
    until(lambda: "an *answer*" in bob.phone.texts(), what="the answer")
    until(lambda: chatwoot.messages[number]["status"] == "delivered", what="its state")

    picture = base64.b64decode(PICTURE["data"])
    chatwoot.agent_writes(bob.jid, "look", file=("image", "teal.png", picture))
    until(lambda: any(e["type"] == "imageMessage" for e in bob.phone.inbox()), what="the picture")
    bob.phone.post(
        "/messages",
        to=alice.phone.number,
        text="mine",
        media="image",
        data=PICTURE["data"],
        mimetype="image/png",
    )
    until(lambda: "mine" in chatwoot.texts(bob.jid), what="the picture there")
    assert chatwoot.messages_of(bob.jid)[-1]["attachments"][0]["data"]

    # Sent by others through the API: an agent sees it.
    people.gateway.send(alice.session, bob.chat, "by a program")
    until(lambda: "by a program" in chatwoot.texts(bob.jid), what="what the API sent")
    assert chatwoot.texts(bob.jid) == [
        "a **question**",
        "an **answer**",
        "look",
        "mine",
        "by a program",
    ]
    assert bob.phone.texts().count("an *answer*") == 1

    # An agent takes it back.
    assert chatwoot.deliver(number, "message_updated", deleted=True) == 200
    until(
        lambda: any(e["type"] == "protocolMessage" for e in bob.phone.inbox()), what="the deletion"
    )


def test_what_was_not_sent_is_said_to_have_failed_and_can_be_sent_again(
    people: People, chatwoot: Chatwoot, app: dict[str, Any]
) -> None:
    alice, bob = people.alice, people.bob
    bob.phone.post("/messages", to=alice.phone.number, text="are you there?")
    until(lambda: chatwoot.texts(bob.jid) == ["are you there?"], what="the question")
    people.waha.sessions.stop(alice.session)
    try:
        number, answers = chatwoot.agent_writes(bob.jid, "yes, later")
        assert answers == [422]
        assert chatwoot.messages[number]["status"] == "failed"
    finally:
        people.waha.sessions.start(alice.session)
        people.gateway.working(alice.session)
    assert chatwoot.deliver(number, "message_updated") == 200
    until(lambda: "yes, later" in bob.phone.texts(), what="the answer at last")
    until(
        lambda: chatwoot.messages_of("whatsapp.integration") != [], what="the session's own status"
    )
    statuses = chatwoot.texts("whatsapp.integration")
    assert f"{alice.session}: STOPPED" in statuses


def test_agents_command_the_session_and_bring_over_what_was_said(
    people: People, chatwoot: Chatwoot, app: dict[str, Any]
) -> None:
    alice, bob = people.alice, people.bob
    people.gateway.send(alice.session, bob.chat, "said before anybody looked")
    bob.phone.post("/messages", to=alice.phone.number, text="hello")
    until(lambda: "hello" in chatwoot.texts(bob.jid), what="the first conversation")
    # Of what was said before the app was made nothing is there.
    chatwoot.messages.clear()
    people.waha.apps.purge(app["id"])
    itself = "whatsapp.integration"
    chatwoot.session_talks(itself)
    chatwoot.agent_writes(itself, "status", times=2)
    until(lambda: any("WORKING" in one for one in chatwoot.texts(itself)), what="the status")
    chatwoot.agent_writes(itself, f"history 7 +{bob.phone.number}")
    until(lambda: any("Done" in one for one in chatwoot.texts(itself)), what="it is brought over")
    texts = [one.rpartition("\n")[2] for one in chatwoot.texts(bob.jid)]
    assert texts[-2:] == ["said before anybody looked", "hello"]
    assert len([one for one in chatwoot.texts(itself) if "WORKING" in one]) == 1


def test_only_chatwoot_itself_is_heard(
    people: People, chatwoot: Chatwoot, app: dict[str, Any]
) -> None:
    address, _, key = chatwoot.webhook.rpartition("/")
    body = {"event": "message_created", "message_type": "outgoing", "content": "x", "id": 1}
    for url, status in (
        (f"{address}/key_{'x' * 43}", 401),
        (f"{address.replace(app['id'], 'other')}/{key}", 404),
        (f"{address.replace(people.alice.session, people.bob.session)}/{key}", 404),
        (chatwoot.webhook, 200),  # of no conversation: nothing is sent
    ):
        answer = httpx.post(url, json=body, trust_env=False, timeout=30)
        assert answer.status_code == status, answer.text
    shown = people.waha.apps.get(app["id"])["config"]
    assert shown["accountToken"] == "***"
    assert key not in str(shown)
    # The key opens nothing but what agents do.
    history = people.gateway.api.get(
        f"/api/{people.alice.session}/chats", headers={"X-Api-Key": key}
    )
    assert history.status_code == 403


@pytest.mark.skipif(
    not os.environ.get("GATEWAY_SLOW_TESTS"), reason="kills processes: GATEWAY_SLOW_TESTS"
)
def test_killed_dispatchers_and_owners_leave_nothing_out_and_nothing_twice(
    people: People, chatwoot: Chatwoot, app: dict[str, Any]
) -> None:
    alice, bob = people.alice, people.bob
    texts = [f"message {n}" for n in range(24)]
    for n, text in enumerate(texts):
        bob.phone.post("/messages", to=alice.phone.number, text=text)
        if n == 8:
            assert _kill(people, "WebhookDispatcher"), "there were dispatchers"
        if n == 16:
            until(lambda: "message 0" in chatwoot.texts(bob.jid), what="the first", seconds=60)
            _, answers = chatwoot.agent_writes(bob.jid, "from an agent of Chatwoot", times=2)
            assert set(answers) <= {200, 503, 422}
            assert sum(_kill(people, name) for name in OWNERS), "there was an owner"
    people.gateway.working(alice.session, seconds=120)
    until(lambda: texts[-1] in chatwoot.texts(bob.jid), what="the last", seconds=120)
    assert [one for one in chatwoot.texts(bob.jid) if one in texts] == texts
    if 200 in answers:
        until(
            lambda: "from an agent of Chatwoot" in bob.phone.texts(), what="the agent's", seconds=60
        )
        assert bob.phone.texts().count("from an agent of Chatwoot") == 1


def _kill(people: People, actor: str) -> int:
    """Kill the processes of an actor, of this gateway and no other."""
    killed = 0
    for one in psutil.Process(people.gateway.state.host.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if f"ray::{actor}" in " ".join(one.cmdline()):
                one.kill()
                killed += 1
    return killed
