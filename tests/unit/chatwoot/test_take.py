"""What agents do in Chatwoot becomes sends of a session, each once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from client.chatwoot import Chatwoot
from cluster.chatwoot.api import SOURCE
from cluster.domain.errors import Invalid, NotFound, SessionNotWorking
from cluster.domain.message import OutboxState
from cluster.stores.apps import AppRecord
from cluster.stores.chatwoot import Mapped

BOB = "4915100002@s.whatsapp.net"
CONFIG = {
    "url": "https://chatwoot.example",
    "accountId": 1,
    "accountToken": "t",
    "inboxId": 7,
    "inboxIdentifier": "i",
    "commands": {"server": True},
}


class World:
    """A gateway with one session and one app, in memory."""

    tenant = "default"

    def __init__(self) -> None:
        self.record = AppRecord(
            id="app",
            tenant="default",
            session="alice",
            session_id=1,
            app="chatwoot",
            enabled=True,
            config=dict(CONFIG),
            key_id="k",
            key_hint="k",
        )
        self.mapped: dict[str, Mapped] = {}
        self.sent: dict[str, dict[str, Any]] = {}
        self.states: dict[str, OutboxState] = {}
        self.did: list[str] = []
        self.emitted: list[dict[str, Any]] = []
        self.fails: Exception | None = None
        self.chatting = self.media = self.outbox = self.chatwoot = self.events = self.apps = self

    async def stores(self) -> World:
        return self

    def session(self, name: str) -> World:
        assert name == "alice"
        return self

    async def get(self, of: Any, name: str) -> Any:
        if of == 1:
            state = self.states.get(name)
            return None if state is None else SimpleNamespace(state=state)
        if name != "app":
            raise NotFound("there is no such app")
        return self.record

    async def begin(
        self, app: Any, message_id: str, chat: str, *, from_agent: bool
    ) -> tuple[Mapped, bool]:
        fresh = message_id not in self.mapped
        self.mapped.setdefault(
            message_id,
            Mapped(
                message_id=message_id,
                chat=chat,
                conversation_id=None,
                chatwoot_id=None,
                from_agent=from_agent,
            ),
        )
        return self.mapped[message_id], fresh

    async def append(self, session_id: int, type: str, payload: dict[str, Any]) -> None:
        assert (session_id, type) == (1, "app.command")
        self.emitted.append(payload)

    async def made(self, app: Any, message_id: str, place: int, number: int) -> None:
        before = self.mapped[message_id]
        self.mapped[message_id] = Mapped(
            message_id=message_id,
            chat=before.chat,
            conversation_id=place,
            chatwoot_id=number,
            from_agent=before.from_agent,
        )

    async def of_chatwoot(self, app: Any, number: int) -> list[Mapped]:
        return [one for one in self.mapped.values() if one.chatwoot_id == number]

    async def send_text(self, chat: str, text: str, **options: Any) -> None:
        self._sends(chat=chat, text=text, **options)

    async def send(self, chat: str, kind: str, attachment: Any, **options: Any) -> None:
        self._sends(chat=chat, kind=kind, url=attachment.url, **options)

    def _sends(self, *, message_id: str, **facts: Any) -> None:
        assert self.mapped[message_id].from_agent, "written down before it is sent"
        if self.fails:
            raise self.fails
        self.sent[message_id] = facts
        self.states.setdefault(message_id, OutboxState.SENT)

    async def revoke(self, chat: str, ref: Any, **_: Any) -> None:
        self.did.append(f"revoke {ref.message_id}")


def webhook(number: int = 11, **changes: Any) -> dict[str, Any]:
    return {
        "event": "message_created",
        "id": number,
        "content": "**hello**",
        "message_type": "outgoing",
        "private": False,
        "source_id": None,
        "content_attributes": {},
        "inbox": {"id": 7},
        "conversation": {"id": 5, "meta": {"sender": {"identifier": BOB}}},
    } | changes


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def chatwoot(world: World) -> Chatwoot:
    return _chatwoot(world, "alice", "app")


def _chatwoot(world: World, session: str, app: str) -> Chatwoot:
    return Chatwoot(world, session, app, caller="k", controls=False)  # type: ignore[arg-type]


async def test_a_text_is_one_message_however_often_it_is_delivered(
    world: World, chatwoot: Chatwoot
) -> None:
    for _ in range(3):
        await chatwoot.take(webhook())
    ((message_id, sent),) = world.sent.items()
    assert (sent["chat"], sent["text"]) == (BOB, "*hello*")
    assert sent["idempotency_key"] == f"chatwoot:{message_id}"
    await chatwoot.take(webhook(12, content_attributes={"in_reply_to": 11}))
    assert list(world.sent.values())[1]["reply_to"].message_id == message_id
    await chatwoot.take(webhook(11, event="message_updated", content_attributes={"deleted": True}))
    assert world.did == [f"revoke {message_id}"]


@pytest.mark.parametrize(
    "change",
    [
        {"message_type": "incoming"},
        {"message_type": "activity"},
        {"private": True},
        {"source_id": f"{SOURCE}3EB0AA"},
        {"inbox": {"id": 8}},
        {"event": "conversation_updated"},
        {"event": "message_updated"},  # of a message that nobody sent from here
        {"id": "11"},
        {"id": -1},
        {"id": 2**70},
        {"conversation": None},
        {"conversation": []},
        {"content": None},
        {"content": {"a": 1}},
        {"attachments": ["x", {"file_type": "image"}], "content": ""},
    ],
)
async def test_what_is_no_agents_message_is_left_alone(
    world: World, chatwoot: Chatwoot, change: dict[str, Any]
) -> None:
    await chatwoot.take(webhook(**change))
    assert world.sent == {}


async def test_files_are_messages_of_their_own(world: World, chatwoot: Chatwoot) -> None:
    files = [
        {"file_type": "image", "data_url": "https://c/a.png"},
        {"file_type": "audio", "data_url": "https://c/b.oga"},
        {"file_type": "file", "data_url": "https://c/c.pdf"},
    ]
    await chatwoot.take(webhook(attachments=files))
    sent = list(world.sent.values())
    assert [one.get("kind", "text") for one in sent] == ["text", "image", "audio", "document"]
    assert [one["caption"] for one in sent[1:]] == ["", "", ""]
    assert sent[2]["extra"] == {"voice": True}
    await chatwoot.take(webhook(12, attachments=files[:1]))
    assert list(world.sent.values())[4]["caption"] == "*hello*"


async def test_what_failed_can_be_sent_again_and_only_that(
    world: World, chatwoot: Chatwoot
) -> None:
    world.fails = SessionNotWorking(session="alice", status="STOPPED", expected=["WORKING"])
    with pytest.raises(SessionNotWorking):
        await chatwoot.take(webhook())
    world.fails = None
    again = webhook(event="message_updated")
    await chatwoot.take(again | {"content_attributes": {"external_error": "422"}})
    assert world.sent == {}
    await chatwoot.take(again)
    await chatwoot.take(again)
    (first,) = world.sent
    world.states[first] = OutboxState.FAILED
    await chatwoot.take(again)
    await chatwoot.take(again)
    assert len(world.sent) == 2, "another id once it failed for good"


async def test_who_it_is_for(world: World, chatwoot: Chatwoot) -> None:
    def to(**sender: Any) -> dict[str, Any]:
        return webhook(conversation={"id": 5, "meta": {"sender": sender}})

    await chatwoot.take(to(identifier="crm-17", phone_number="+4915100009"))
    assert next(iter(world.sent.values()))["chat"] == "4915100009@s.whatsapp.net"
    for sender in ({}, {"identifier": "crm-17"}, {"identifier": 5, "phone_number": "x"}):
        with pytest.raises(Invalid):
            await chatwoot.take(to(**sender))


async def test_commands_are_emitted_as_events_each_once(world: World, chatwoot: Chatwoot) -> None:
    itself = {"id": 5, "meta": {"sender": {"identifier": "whatsapp.integration"}}}
    for number, text in (
        (21, " Start "),
        (21, " Start "),
        (22, "history 7"),
        (23, " "),
        (24, None),
    ):
        await chatwoot.take(webhook(number, conversation=itself, content=text))
    assert world.emitted == [
        {"app": "app", "number": 21, "command": "Start"},
        {"app": "app", "number": 22, "command": "history 7"},
    ]
    world.record.config["commands"] = {"server": False}
    await chatwoot.take(webhook(25, conversation=itself, content="stop"))
    assert len(world.emitted) == 2
    assert world.sent == {}


async def test_texts_and_captions_in_other_words(world: World, chatwoot: Chatwoot) -> None:
    signed = "*{{{chatwoot.sender.name}}}*:\n{{{content}}}"
    world.record.config["templates"] = {
        "chatwoot.to.whatsapp.message.text": signed,
        "chatwoot.to.whatsapp.message.media.caption": "{{#content}}" + signed + "{{/content}}",
    }
    picture = [{"file_type": "image", "data_url": "https://c/a.png"}]
    sender = {"name": "Ann"}
    await chatwoot.take(webhook(sender=sender))
    await chatwoot.take(webhook(12, sender=sender, attachments=picture))
    await chatwoot.take(webhook(13, sender=sender, attachments=picture, content=""))
    first, second, third = world.sent.values()
    assert first["text"] == second["caption"] == "*Ann*:\n*hello*"
    assert third["caption"] == ""


async def test_what_is_written_with_a_voice_message_goes_ahead_of_it(
    world: World, chatwoot: Chatwoot
) -> None:
    voice = [{"file_type": "audio", "data_url": "https://c/a.oga"}]
    await chatwoot.take(webhook(attachments=voice))
    assert [one.get("kind", "text") for one in world.sent.values()] == ["text", "audio"]


async def test_other_apps_are_nowhere(world: World) -> None:
    for name in ("other", "app2"):
        with pytest.raises(NotFound):
            await _chatwoot(world, "alice", name).take(webhook())
    with pytest.raises(NotFound):
        await _chatwoot(world, "bob", "app").take(webhook())
