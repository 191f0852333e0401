"""What happens in WhatsApp is in Chatwoot once, whatever fails on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from chatwoot.stand_in import Chatwoot
from conftest import Hooked, running_dispatcher

from actors.apps.chatwoot import Person
from actors.apps.owner_files import OwnerFiles
from actors.webhooks.dispatcher import Dispatcher
from cluster.chatwoot.api import Upload
from cluster.domain.message import StoredMessage
from cluster.domain.session import SessionRecord
from cluster.events.stored_message import to_event
from cluster.settings import Settings
from cluster.stores import Stores
from cluster.stores.apps import AppRecord

BOB = "4915100002@s.whatsapp.net"
GROUP = "120363000000000001@g.us"
Made = Callable[..., Any]


@pytest.fixture
def chatwoot() -> Iterator[Chatwoot]:
    with Chatwoot.running() as one:
        yield one
    assert one.refused == [], "what was asked is what Chatwoot documents"


@pytest.fixture(autouse=True)
def owner(monkeypatch: pytest.MonkeyPatch) -> None:
    """No session runs here: files and people are made up, as the owner would tell them."""

    async def person(self: OwnerFiles, tenant: str, session: str, chat: str) -> Person:
        return Person(
            name="Friends" if chat == GROUP else "Bob B", lid="2000@lid", picture="https://x/y.jpg"
        )

    async def upload(
        self: OwnerFiles, tenant: str, session: str, message: StoredMessage
    ) -> Upload | None:
        async def parts() -> AsyncIterator[bytes]:
            yield b"JPEG" * 1000

        return Upload(filename="cat.jpeg", mimetype="image/jpeg", parts=parts())

    monkeypatch.setattr(OwnerFiles, "person", person)
    monkeypatch.setattr(OwnerFiles, "upload", upload)


@pytest.fixture
def bridged(stores: Stores, hooked: Hooked, chatwoot: Chatwoot) -> Made:
    async def make(**conversations: Any) -> tuple[SessionRecord, AppRecord]:
        session = await hooked()
        app = await stores.apps.create(
            "default",
            f"app-{session.id}",
            session.id,
            app="chatwoot",
            enabled=True,
            config=chatwoot.config(**conversations),
        )
        return session, app

    return make


async def until(found: Callable[[], bool], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while True:
            if found():
                return
            await asyncio.sleep(0.02)


def message(message_id: str, body: str = "", **more: Any) -> StoredMessage:
    fields = {"chat": BOB, "sender": BOB, "from_me": False, "kind": "text", "push_name": "Bob"}
    return StoredMessage(
        message_id=message_id, body=body, timestamp=datetime.now(UTC), **fields | more
    )


async def happens(
    stores: Stores, session: SessionRecord, told: StoredMessage, event: str = "message.any"
) -> None:
    await stores.events.append(session.id, event, to_event(told))


async def test_a_conversation_of_every_kind(
    stores: Stores, dispatcher: Dispatcher, bridged: Made, chatwoot: Chatwoot
) -> None:
    session, _ = await bridged(outgoing="message")
    await happens(stores, session, message("3EB0A1", "*Hello* ~old~"))
    await happens(stores, session, message("3EB0A2", "caption", kind="image", has_media=True))
    await happens(stores, session, message("3EB0A3", "and you?", reply_to="3EB0A1", from_me=True))
    reaction = message("3EB0A4", "👍", kind="reaction", reply_to="3EB0A1")
    await happens(stores, session, reaction, "message.reaction")
    edit = message("3EB0A5", "Hello!", kind="edit", reply_to="3EB0A1")
    await happens(stores, session, edit, "message.edited")
    revoke = message("3EB0A6", "", kind="revoke", reply_to="3EB0A2")
    await happens(stores, session, revoke, "message.revoked")
    await happens(
        stores, session, message("3EB0A7", "hi all", chat=GROUP, sender="4915100003@s.whatsapp.net")
    )
    await happens(stores, session, message("3EB0A8", "story", chat="status@broadcast"))
    await stores.events.append(session.id, "session.status", {"status": "FAILED"})

    await until(lambda: len(chatwoot.told("whatsapp.integration")) == 1)
    first, picture, answer, thumb, edited, gone = chatwoot.told(BOB)
    assert first["content"] == "**Hello** ~~old~~"
    assert first["message_type"] == "incoming"
    assert picture["attachments"][0]["data"] == b"JPEG" * 1000
    assert picture["attachments"][0]["name"] == "cat.jpeg"
    assert picture["content"] == "caption"
    assert (answer["message_type"], answer["private"]) == ("outgoing", False)
    for one in (answer, thumb, edited):
        assert one["content_attributes"] == {"in_reply_to": first["id"]}
    assert gone["content_attributes"] == {"in_reply_to": picture["id"]}
    assert thumb["content"] == "👍"
    assert "Hello!" in edited["content"]
    assert chatwoot.texts(GROUP) == ["**Bob**\n\nhi all"]
    contact = chatwoot.contact(BOB)
    assert contact is not None
    assert (contact["name"], contact["phone_number"]) == ("Bob B", "+4915100002")
    assert contact["custom_attributes"]["waha_whatsapp_lid"] == "2000@lid"
    assert contact["avatar_url"]
    assert len(chatwoot.contacts) == len(chatwoot.conversations) == 3


async def test_nothing_is_lost_or_twice_when_chatwoot_fails_or_its_answer_is_lost(
    stores: Stores, hook_settings: Settings, bridged: Made, chatwoot: Chatwoot
) -> None:
    session, _ = await bridged()
    async with running_dispatcher(hook_settings):
        chatwoot.fail = 2
        await happens(stores, session, message("3EB0B1", "one"))
        await until(lambda: chatwoot.texts(BOB) == ["one"], seconds=40)
        chatwoot.lose = 1
        await happens(stores, session, message("3EB0B2", "two"))
        await happens(stores, session, message("3EB0B3", "three"))
        await until(lambda: "three" in chatwoot.texts(BOB), seconds=40)
    assert chatwoot.texts(BOB) == ["one", "two", "three"]
    assert len(chatwoot.contacts) == len(chatwoot.conversations) == 1
    letters = stores.dead_letters
    assert await letters.list(session.id, key=None, resolved=False, after=0, limit=10) == []


async def test_a_dispatcher_that_is_killed_on_the_way_leaves_nothing_twice(
    stores: Stores, hook_settings: Settings, bridged: Made, chatwoot: Chatwoot
) -> None:
    session, _ = await bridged()
    own = await Stores.open(hook_settings)
    killed = Dispatcher(own, hook_settings)
    task = asyncio.create_task(killed.run())
    for n in range(6):
        await happens(stores, session, message(f"3EB0C{n}", str(n)))
    # In the middle of a request, without writing down what came of it.
    chatwoot.slow = 0.2
    await until(lambda: len(chatwoot.told(BOB)) >= 2, seconds=30)
    for one in (*killed._under_way, task):
        one.cancel()
    with suppress(asyncio.CancelledError):
        await task
    await own.close()
    chatwoot.slow = 0
    await stores.db.run("UPDATE webhooks SET lease = ''", {})
    async with running_dispatcher(hook_settings):
        await until(lambda: "5" in chatwoot.texts(BOB), seconds=40)
    assert chatwoot.texts(BOB) == [str(n) for n in range(6)]


async def test_what_agents_wrote_does_not_come_back_and_its_state_does(
    stores: Stores, dispatcher: Dispatcher, bridged: Made, chatwoot: Chatwoot
) -> None:
    session, app = await bridged()
    await happens(stores, session, message("3EB0D1", "hello"))
    await until(lambda: chatwoot.texts(BOB) == ["hello"])
    chatwoot.webhook = "http://127.0.0.1:9/"
    place = chatwoot.told(BOB)[0]["conversation_id"]
    chatwoot.messages[900] = {"id": 900, "conversation_id": place, "content": "agent's"}
    await stores.chatwoot.begin(app, "3EB0D2", BOB, from_agent=True)
    await stores.chatwoot.made(app, "3EB0D2", place, 900)
    sent = message("3EB0D2", "agent's", from_me=True, via_api=True)
    await happens(stores, session, sent)
    for level in (1, 2, 3):
        ack = {"id": "3EB0D2", "chat": BOB, "ack": level}
        await stores.events.append(session.id, "message.ack", ack)
    await until(lambda: chatwoot.messages[900].get("status") == "read")
    await until(lambda: chatwoot.seen == [place])
    assert chatwoot.texts(BOB) == ["hello", "agent's"]
    failed = {"id": "3EB0D2", "chat": BOB, "ack": -1}
    await stores.events.append(session.id, "message.ack", failed)
    await until(lambda: chatwoot.messages[900].get("status") == "failed")


@pytest.mark.parametrize(("status", "conversations"), [(["open"], 2), (None, 1)])
async def test_a_closed_conversation_goes_on_or_another_begins(
    stores: Stores,
    dispatcher: Dispatcher,
    bridged: Made,
    chatwoot: Chatwoot,
    status: list[str] | None,
    conversations: int,
) -> None:
    session, _ = await bridged(status=status, groups=False)
    await happens(stores, session, message("3EB0E1", "one"))
    await until(lambda: chatwoot.texts(BOB) == ["one"])
    chatwoot.resolve(BOB)
    await happens(stores, session, message("3EB0E2", "in a group", chat=GROUP))
    phone = replace(message("3EB0E3", "from the phone"), from_me=True)
    await happens(stores, session, phone)
    await until(lambda: chatwoot.texts(BOB) == ["one", "from the phone"])
    assert chatwoot.told(BOB)[1]["private"]
    assert len(chatwoot.conversations) == conversations
    assert chatwoot.contact(GROUP) is None


async def test_a_number_that_agents_know_is_the_same_person(
    stores: Stores, dispatcher: Dispatcher, bridged: Made, chatwoot: Chatwoot
) -> None:
    session, _ = await bridged()
    chatwoot.contacts[5] = {
        "id": 5,
        "name": "Customer",
        "identifier": None,
        "phone_number": "+4915100002",
        "contact_inboxes": [],
    }
    await happens(stores, session, message("3EB0F1", "hello"))
    await until(lambda: chatwoot.texts(BOB) == ["hello"])
    assert list(chatwoot.contacts) == [5]
    assert chatwoot.contacts[5]["name"] == "Customer"


async def test_an_app_that_is_off_or_gone_is_told_nothing(
    stores: Stores, dispatcher: Dispatcher, bridged: Made, chatwoot: Chatwoot
) -> None:
    session, app = await bridged()
    assert [one.url for one in await stores.webhooks.states(session.id)] == [
        f"app://chatwoot/{app.id}"
    ]
    await stores.apps.update("default", app.id, enabled=False, config=app.config)
    assert await stores.webhooks.states(session.id) == []
    await happens(stores, session, message("3EB0G1", "unheard"))
    await stores.apps.update("default", app.id, enabled=True, config=app.config)
    await happens(stores, session, message("3EB0G2", "heard"))
    await until(lambda: chatwoot.texts(BOB) == ["heard"])
    await stores.apps.delete("default", app.id)
    assert await stores.webhooks.states(session.id) == []
    await stores.sessions.delete(session.id)


async def test_an_address_inside_is_refused(
    stores: Stores, hook_settings: Settings, bridged: Made, chatwoot: Chatwoot
) -> None:
    hook_settings.webhooks.allow = ""
    session, _ = await bridged()
    async with running_dispatcher(hook_settings):
        await happens(stores, session, message("3EB0H1", "hello"))

        async def refused() -> str:
            return (await stores.webhooks.states(session.id))[0].error

        for _ in range(100):
            if await refused():
                break
            await asyncio.sleep(0.1)
        assert "not public" in await refused()
    assert chatwoot.contacts == {}
