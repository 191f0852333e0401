"""n8n with WAHA's own node before the gateway: workflows run once, and one that answers."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import pytest
from foreign.n8n_process import N8n, N8nError, waha
from foreign.tables import keep_table
from people import PICTURE, People
from running_gateway import until

from ops.embedded.postgres import EmbeddedPostgres

pytestmark = [
    pytest.mark.skipif(
        not os.environ.get("GATEWAY_SLOW_TESTS"),
        reason="installs n8n, 1.8 GB: GATEWAY_SLOW_TESTS",
    ),
    pytest.mark.timeout(1800),
]

Items = list[dict[str, Any]]
Judge = Callable[[Items], bool]
YES = "yes"
SENT = "={{ $('Chatting: Send Text').first().json.id }}"
GROUP = "={{ $('Groups: Create Group').first().json.JID }}"
#: What the node cannot, and why: nothing of it is the gateway's doing.
CANNOT = {
    "Status: Send Text Status": "always names `contacts`, which the library cannot choose",
    "Screenshot: Screenshot": "there is no browser to look at",
}


def steps(people: People) -> list[tuple[dict[str, Any], Judge]]:
    """Nodes in their order, each with what must be true of it: on the other side, where there is
    one, and else of its items."""
    phone, bob, alice = people.bob.phone, people.bob, people.alice

    def seen(**facts: Any) -> Judge:
        return lambda _: any(facts.items() <= entry.items() for entry in phone.inbox())

    def raw(text: str) -> Judge:
        return lambda _: any(text.encode().hex() in entry["raw"] for entry in phone.inbox())

    def contains(text: str) -> Judge:
        return lambda items: text in json.dumps(items, ensure_ascii=False)

    def group(**facts: Any) -> Judge:
        return lambda _: any(facts.items() <= one.items() for one in bob.sees("/groups"))

    def setting(kind: str, at: str = "regular_low") -> Judge:
        return lambda _: any(kind in index for index in alice.settings(at))

    def typing(state: str, times: int = 1) -> Judge:
        def seen_so_often(_: Items) -> bool:
            entries = bob.sees("/inbox?kind=chatstate")["entries"]
            return sum(f"<{state}" in entry["stanza"] for entry in entries) >= times

        return seen_so_often

    def not_archived(_: Items) -> bool:
        shown = people.waha.chats.get_chats_overview(alice.session, {"ids": bob.chat})
        return shown[0]["_chat"]["archived"] is False

    def promoted(_: Items) -> bool:
        ours = (one for one in bob.sees("/groups") if one["subject"] == "renamed by n8n")
        return any(one["members"].get(phone.number) == "admin" for one in ours)

    def left(_: Items) -> bool:
        return all(one["subject"] != "renamed by n8n" for one in alice.sees("/groups"))

    def read(_: Items) -> bool:
        entries = bob.sees("/receipts")["entries"]
        return any(entry["type"] == "read" for entry in entries)

    def answered(items: Items) -> bool:
        """Nobody but WhatsApp's server sees more of it than that it was taken."""
        return items is not None

    made: list[tuple[dict[str, Any], Judge]] = []

    def step(resource: str, operation: str, judge: Judge, /, **parameters: Any) -> None:
        name = f"{resource}: {operation}"
        made.append((waha(name, resource, operation, **parameters), judge))

    other = f"n8n-{os.getpid()}"
    file = json.dumps(PICTURE | {"filename": "a.png"})
    poll = json.dumps({"name": "n8n?", "options": ["Yes", "No"], "multipleAnswers": False})
    members = json.dumps([{"id": bob.chat}])
    card = {"fullName": "Jane n8n", "phoneNumber": "+1 234", "vcard": None}
    step("Sessions", "List", contains(alice.session))
    step("Sessions", "Get Me", contains(alice.chat))
    step("Sessions", "Create", contains(other), name=other, config="{}")
    step("Sessions", "Restart", contains(other), session=other)
    step("Sessions", "Logout", answered, session=other)
    step("Sessions", "Delete", lambda _: not contains(other)(_), session=other)
    step("Chatting", "Send Text", seen(text="by n8n"), text="by n8n")
    step("Chatting", "Set Reaction", seen(text="👍"), messageId=SENT)
    step("Chatting", "Set Star", setting("star", "regular_high"), messageId=SENT)
    step("Chats", "Edit Message", seen(text="edited by n8n"), messageId=SENT, text="edited by n8n")
    step(
        "Chatting",
        "Send Image",
        seen(text="image", type="imageMessage"),
        file=file,
        caption="image",
    )
    step(
        "Chatting",
        "Send File",
        seen(text="file", type="documentMessage"),
        file=file,
        caption="file",
    )
    step("Chatting", "Send Location", seen(type="locationMessage"), title="n8n")
    step("Chatting", "Send Poll", raw("n8n?"), poll=poll)
    step("Chatting", "Send Contact Vcard", raw("Jane n8n"), contacts=json.dumps([card]))
    step("Chatting", "Start Typing", typing("composing"))
    step("Chatting", "Stop Typing", typing("paused"))
    step("Chatting", "Send Seen", read)
    step("Chatting", "Get Messages", contains("to be read by n8n"))
    step("Chats", "Get Chats", contains(bob.chat))
    step("Chats", "Get Chat Messages", contains("edited by n8n"))
    step("Chats", "Archive Chat", setting("archive"))
    step("Chats", "Unarchive Chat", not_archived)
    step("Contacts", "Check Exists", contains("true"), phone=people.carol.phone.number)
    step("Contacts", "Get All", contains(bob.chat))
    step("Contacts", "Get", contains(bob.chat), contactId=bob.chat)
    step("Contacts", "Get About", contains("about"), contactId=bob.chat)
    step(
        "Groups",
        "Create Group",
        group(subject="renamed by n8n"),
        name="by n8n",
        participants=members,
    )
    step(
        "Groups", "Set Subject", group(subject="renamed by n8n"), id=GROUP, subject="renamed by n8n"
    )
    step(
        "Groups",
        "Set Description",
        group(description="described"),
        id=GROUP,
        description="described",
    )
    step("Groups", "Set Messages Admin Only", group(announcement=True), id=GROUP)
    step("Groups", "Get Messages Admin Only", contains("true"), id=GROUP)
    step("Groups", "Get Invite Code", bool, id=GROUP)
    step("Groups", "Get Groups", contains("renamed by n8n"))
    step("Groups", "Get Group", contains("renamed by n8n"), id=GROUP)
    step("Groups", "Get Participants", contains(bob.phone.number), id=GROUP)
    step("Groups", "Promote To Admin", promoted, id=GROUP, participants=members)
    step("Groups", "Leave Group", left, id=GROUP)
    step("Presence", "Set Presence", typing("composing", 2), presence="typing")
    step("Presence", "Subscribe", answered)
    step("Labels", "Get All", answered)
    step("Channels", "List", answered)
    step("Status", "Send Text Status", answered)
    step("Screenshot", "Screenshot", answered)
    step("Observability", "Get", contains("version"))
    return made


async def test_what_n8n_can_do(people: People, data_folder: Any) -> None:
    folder = data_folder / "of-n8n"
    folder.mkdir(mode=0o711)
    postgres = EmbeddedPostgres()
    postgres.start(folder / "postgres")
    try:
        n8n = await N8n.installed(
            folder,
            people.gateway.state.url,
            people.gateway.api.headers["X-Api-Key"],
            postgres.env()["DATABASE_URL"],
        )
        rows = [["", "n8n 1.123.81, WAHA node 2024.9.5"]]
        rows += await once(n8n, people)
        rows.append(["WAHA Trigger, and Send Text as its answer", await answers(n8n, people)])
    finally:
        postgres.stop()
    keep_table("api.md", "n8n", rows)
    refused = {name for name, cell in rows[1:] if cell != YES}
    assert refused == CANNOT.keys(), "whatever it cannot has its reason here"


async def once(n8n: N8n, people: People) -> list[list[str]]:
    sent = people.bob.phone.post(
        "/messages", to=people.alice.phone.number, text="to be read by n8n"
    )
    history = people.waha.chats.get_chat_messages
    alice, chat = people.alice.session, people.bob.chat
    until(lambda: sent["id"] in str(history(alice, chat)), what="the message arrived")
    given = steps(people)
    # As the trigger gives it: the node's own defaults read it.
    first = {"session": alice, "payload": {"from": chat, "id": f"false_{chat}_{sent['id']}"}}
    gave = await n8n.execute(first, [node for node, _ in given])
    rows = []
    for node, judge in given:
        name, items = node["name"], gave[node["name"]]
        rows.append([name, _cell(name, items, judge)])
    return rows


def _cell(name: str, items: Items | None, judge: Judge) -> str:
    failed = next(
        (item["error"] for item in items or [] if isinstance(item, dict) and "error" in item), None
    )
    if items is None or failed is not None:
        print(f"n8n: {name}: {failed}")  # noqa: T201 - for who looks at it
        return f"no: {CANNOT[name]}" if name in CANNOT else "no"
    try:
        until(lambda: judge(items), seconds=10, what=name)
    except AssertionError:
        print(f"n8n: {name}: {str(items)[:300]}")  # noqa: T201
        return "no"
    return YES


def _set_webhooks(people: People, session: str, hooks: list[dict[str, Any]]) -> None:
    config = people.gateway.info(session)["config"] or {}
    body = {"config": config | {"webhooks": hooks}}
    people.gateway.api.put(f"/api/sessions/{session}", json=body).raise_for_status()
    people.gateway.working(session)


async def answers(n8n: N8n, people: People) -> str:
    """Bob writes; n8n hears of it and answers, in the session that the event names."""
    text = "={{ 'n8n heard: ' + $json.payload.body }}"
    reply = waha("answer", "Chatting", "Send Text", text=text, reply_to="={{ $json.payload.id }}")
    alice = people.alice.session
    try:
        async with n8n.answering("message", reply) as url:
            hook = {"url": url, "events": ["message", "session.status"]}
            _set_webhooks(people, alice, [hook])
            people.bob.phone.post("/messages", to=people.alice.phone.number, text="hello n8n")
            until(
                lambda: "n8n heard: hello n8n" in people.bob.phone.texts(),
                seconds=60,
                what="its answer",
            )
    except (N8nError, AssertionError) as error:
        print(f"n8n: trigger: {error!r}"[:600])  # noqa: T201
        return "no"
    finally:
        _set_webhooks(people, alice, [])
    return YES
