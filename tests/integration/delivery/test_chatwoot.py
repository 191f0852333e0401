"""What happens in WhatsApp is in Chatwoot once, whatever fails on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from chatwoot.stand_in import Chatwoot
from hooked import Hooked, running_dispatcher

from actors.delivery.apps.chatwoot import Person
from actors.delivery.apps.owner_files import OwnerFiles
from actors.delivery.dispatcher import Dispatcher
from cluster.chatwoot.api import Upload
from cluster.domain.errors import Conflict, SessionNotWorking
from cluster.domain.message import StoredMessage
from cluster.domain.session import SessionRecord
from cluster.events.stored_message import to_event
from cluster.settings import Settings
from cluster.stores import Stores
from cluster.stores.apps import AppRecord

BOB = "4915100002@s.whatsapp.net"
GROUP = "120363000000000001@g.us"
Made = Callable[..., Any]


class Commanded:
    """A session, as far as agents command it."""

    did: ClassVar[list[Any]] = []

    def __getattr__(self, verb: str) -> Any:
        async def act(*words: Any, **_: Any) -> Any:
            self.did.append((verb, *words))
            if verb == "logout":
                raise SessionNotWorking(session="alice", status="STOPPED", expected=["WORKING"])
            return "ABCD-EFGH"

        return act

    @property
    def calls(self) -> Commanded:
        return self

    async def qr(self) -> Any:
        return SimpleNamespace(text="2@code")

    async def info(self) -> Any:
        return SimpleNamespace(name="alice", status="WORKING", me=None, reason="")


@pytest.fixture
def chatwoot() -> Iterator[Chatwoot]:
    with Chatwoot.running() as one:
        yield one
    assert one.refused == [], "what was asked is what Chatwoot documents"


@pytest.fixture(autouse=True)
def owner(monkeypatch: pytest.MonkeyPatch) -> None:
    """No session runs here: files and people are made up, as the owner would return them."""

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
    monkeypatch.setattr(OwnerFiles, "session", lambda *_: Commanded())
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
    fields: dict[str, Any] = {
        "chat": BOB,
        "sender": BOB,
        "from_me": False,
        "kind": "text",
        "push_name": "Bob",
    }
    return StoredMessage(
        message_id=message_id, body=body, timestamp=datetime.now(UTC), **fields | more
    )


async def happens(
    stores: Stores, session: SessionRecord, stored: StoredMessage, event: str = "message.any"
) -> None:
    await stores.events.append(session.id, event, to_event(stored))


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

    await until(lambda: len(chatwoot.messages_of("whatsapp.integration")) == 1)
    first, picture, answer, thumb, edited, gone = chatwoot.messages_of(BOB)
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
    await until(lambda: len(chatwoot.messages_of(BOB)) >= 2, seconds=30)
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
    place = chatwoot.messages_of(BOB)[0]["conversation_id"]
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
    assert chatwoot.messages_of(BOB)[1]["private"]
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


async def test_an_app_that_is_off_or_gone_gets_no_events(
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


async def commanded(
    stores: Stores, session: SessionRecord, app: AppRecord, number: int, text: str
) -> None:
    asked = {"app": app.id, "number": number, "command": text}
    await stores.events.append(session.id, "app.command", asked)


ITSELF = "whatsapp.integration"


async def test_agents_command_the_session_where_it_reports_on_itself(
    stores: Stores, dispatcher: Dispatcher, bridged: Made, chatwoot: Chatwoot
) -> None:
    session, app = await bridged()
    Commanded.did.clear()
    asked = ("help", "Status", "wa/session restart", "code +4915100000001", "init:4915100000001")
    for number, text in enumerate((*asked, "logout", "QR", "history 0", "dance")):
        await commanded(stores, session, app, number, text)
    await commanded(stores, session, app, 0, "stop")  # delivered twice
    await stores.events.append(session.id, "session.status", {"status": "SCAN_QR_CODE"})
    await until(lambda: len(chatwoot.messages_of(ITSELF)) == 10)
    helped, status, restarts, code, again, refused, qr, days, dance, scan = chatwoot.messages_of(
        ITSELF
    )
    assert "history 7" in helped["content"]
    assert dance["content"] == helped["content"]
    assert "WORKING" in status["content"]
    assert "ABCD-EFGH" in code["content"]
    assert "ABCD-EFGH" in again["content"]
    assert refused["content"].startswith("❌")
    assert days["content"].startswith("❌")
    for shown in (qr, scan):
        assert shown["attachments"][0]["data"].startswith(b"\x89PNG")
    assert restarts["message_type"] == "incoming"
    phone_number = "4915100000001"
    assert Commanded.did == [
        ("restart",),
        ("request_code", phone_number),
        ("request_code", phone_number),
        ("logout",),
    ]


async def test_what_was_said_before_is_brought_over_in_order_and_once(
    stores: Stores, hook_settings: Settings, bridged: Made, chatwoot: Chatwoot
) -> None:
    session, app = await bridged()
    now = datetime.now(UTC)
    for n in range(45):
        await stores.db.run(
            """
            INSERT INTO messages (session_id, chat, message_id, from_me, sender, sent_at, kind,
                                  body, revoked_at)
            VALUES (%(session)s, %(chat)s, %(id)s, %(mine)s, %(chat)s, %(at)s, 'text', %(body)s,
                    %(revoked)s)
            """,
            {
                "session": session.id,
                "chat": BOB if n else GROUP,
                "id": f"3EB0I{n}",
                "mine": n % 5 == 4,
                "at": now - timedelta(days=20 if n == 1 else 3) + timedelta(minutes=n),
                "body": f"old {n}",
                "revoked": now if n == 3 else None,
            },
        )
    async with running_dispatcher(hook_settings):
        await happens(stores, session, message("3EB0I20", "old 20"))
        await until(lambda: chatwoot.texts(BOB) == ["old 20"])
        chatwoot.fail = 1
        await commanded(stores, session, app, 1, "wa/messages pull 7 +4915100002")
        # Once more in the middle: what is there by then is counted as well.
        await until(lambda: len(chatwoot.texts(BOB)) > 5)
        chatwoot.fail = 1
        await until(lambda: any("Done" in one for one in chatwoot.texts(ITSELF)), seconds=60)
        await commanded(stores, session, app, 2, "history 7")
        await until(lambda: len(chatwoot.texts(ITSELF)) == 4, seconds=60)
    texts = [one.rpartition("\n")[2] for one in chatwoot.texts(BOB)]
    assert texts == ["old 20"] + [f"old {n}" for n in range(2, 45) if n not in {3, 20}]
    first = chatwoot.messages_of(BOB)[1]
    assert first["content"].startswith("🕰 20")
    assert first["message_type"] == "incoming"
    assert [one.rpartition("\n")[2] for one in chatwoot.texts(GROUP)] == ["old 0"]
    assert [one for one in chatwoot.texts(ITSELF) if "Done" in one] == [
        "📜 Done: 41 brought over.",
        "📜 Done: 1 brought over.",
    ]


async def test_calls_are_rejected_and_answered(
    stores: Stores, dispatcher: Dispatcher, hooked: Hooked
) -> None:
    session = await hooked()
    Commanded.did.clear()
    quiet = {"dm": {"reject": True, "message": "Please write."}, "group": {"reject": False}}
    app = await stores.apps.create(
        "default", "calls-1", session.id, app="calls", enabled=True, config=quiet
    )
    for number, group in ((1, True), (2, False)):
        call = {"id": f"CALL{number}", "from": "4915100002@c.us", "isGroup": group}
        await stores.events.append(session.id, "call.received", call)
    await until(lambda: len(Commanded.did) == 2)
    assert Commanded.did == [
        ("reject", "4915100002@c.us", "CALL2"),
        ("send_text", "4915100002@c.us", "Please write."),
    ]
    with pytest.raises(Conflict, match="calls app already"):
        await stores.apps.create(
            "default", "calls-2", session.id, app="calls", enabled=True, config=quiet
        )
    await stores.apps.delete("default", app.id)
