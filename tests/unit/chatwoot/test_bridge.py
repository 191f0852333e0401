"""The bridge against Chatwoot's stand-in, and against servers that answer nonsense."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio
from chatwoot.stand_in import Chatwoot

from actors.delivery.apps.chatwoot import ChatwootBridge, Person
from actors.delivery.apps.configured import Apps
from client.session import SessionClient
from cluster.chatwoot.api import ChatwootConnections
from cluster.domain.message import StoredMessage
from cluster.events.envelope import Event, EventSource
from cluster.events.stored_message import to_event
from cluster.settings import WebhookSettings
from cluster.stores.apps import AppRecord
from cluster.stores.chatwoot import Mapped

BOB, LID = "4915100002@s.whatsapp.net", "2000@lid"


class Map:
    """`ChatwootStore` in memory."""

    def __init__(self) -> None:
        self.rows: dict[str, Mapped] = {}

    async def begin(self, app: Any, message_id: str, chat: str) -> tuple[Mapped, bool]:
        fresh = message_id not in self.rows
        none: dict[str, Any] = {"conversation_id": None, "chatwoot_id": None, "from_agent": False}
        if fresh:
            self.rows[message_id] = Mapped(message_id=message_id, chat=chat, **none)
        return self.rows[message_id], fresh

    async def asked(self, app: Any, message_id: str, place: int) -> None:
        await self.made(app, message_id, place, None)

    async def made(self, app: Any, message_id: str, place: int, number: int | None) -> None:
        self.rows[message_id] = Mapped(
            message_id=message_id,
            chat=self.rows[message_id].chat,
            conversation_id=place,
            chatwoot_id=number,
            from_agent=False,
        )

    async def of_message(self, app: Any, message_id: str) -> Mapped | None:
        return self.rows.get(message_id)


class Nobody:
    async def upload(self, *_: Any) -> None:
        return None

    async def person(self, tenant: str, session: str, chat: str) -> Person:
        return Person(name="Bob", lid=LID, picture="")

    def session(self, tenant: str, session: str) -> SessionClient:
        raise AssertionError("no agent asks anything here")


def app_of(config: dict[str, Any]) -> AppRecord:
    return AppRecord(
        id="app",
        tenant="default",
        session="alice",
        session_id=1,
        app="chatwoot",
        enabled=True,
        config=config,
        key_id=None,
        key_hint=None,
    )


def event(number: int, body: str, chat: str = BOB, **more: Any) -> Event:
    message = StoredMessage(
        message_id=f"3EB0{number}",
        chat=chat,
        sender=chat,
        from_me=False,
        timestamp=datetime.now(UTC),
        kind="text",
        body=body,
        **more,
    )
    return Event(
        id=f"evt_{number}",
        session_id=1,
        seq=number,
        type="message.any",
        payload=to_event(message),
        happened_at=datetime.now(UTC),
    )


@pytest_asyncio.fixture
async def connections() -> AsyncIterator[ChatwootConnections]:
    one = ChatwootConnections(timeout=10, allow="127.0.0.0/8")
    yield one
    await one.close()


async def test_a_person_whose_number_becomes_known_stays_one_contact(
    connections: ChatwootConnections,
) -> None:
    with Chatwoot.running() as chatwoot:
        stores: Any = SimpleNamespace(chatwoot=Map())
        bridge = ChatwootBridge(stores, connections, app_of(chatwoot.config()), Nobody())
        await bridge.put(event(1, "hidden", LID), EventSource(name="alice"))
        await bridge.put(event(2, "known"), EventSource(name="alice"))
        assert chatwoot.texts(BOB) == ["hidden", "known"]
        contact = chatwoot.contact(BOB)
        assert contact is not None
        assert contact["phone_number"] == "+4915100002"
        assert len(chatwoot.contacts) == len(chatwoot.conversations) == 1
        assert chatwoot.refused == []


async def test_a_file_that_cannot_be_had_is_a_link(connections: ChatwootConnections) -> None:
    with Chatwoot.running() as chatwoot:
        stores: Any = SimpleNamespace(chatwoot=Map())
        bridge = ChatwootBridge(stores, connections, app_of(chatwoot.config()), Nobody())
        await bridge.put(event(1, "look", has_media=True), EventSource(name="alice"))
        assert chatwoot.texts(BOB)[0].startswith("look\n\n📎 ")


@pytest.fixture
def answering() -> Iterator[Any]:
    class Handler(BaseHTTPRequestHandler):
        data = b""

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(self.data)))
            self.end_headers()
            self.wfile.write(self.data)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield Handler, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nonsense",
        b"[]",
        b"null",
        b'"text"',
        b"[" * 100_000,
        b'{"payload": null}',
        b'{"payload": [1, null, "x"]}',
        b'{"payload": [{"identifier": "4915100002@s.whatsapp.net"}]}',
        b'{"payload": [{"identifier": "4915100002@s.whatsapp.net", "id": {"a": 1}}]}',
        b'{"payload": [{"identifier": "4915100002@s.whatsapp.net", "id": "x"}]}',
        b" " * (5 << 20),
    ],
    ids=range(12),
)
async def test_nonsense_is_a_failed_try_and_no_more(answering: Any, data: bytes) -> None:
    handler, url = answering
    handler.data = data
    with Chatwoot.running() as chatwoot:
        config = chatwoot.config() | {"url": url}

    class Stored:
        async def get(self, tenant: str, name: str) -> AppRecord:
            return app_of(config)

    stores: Any = SimpleNamespace(chatwoot=Map(), apps=Stored())
    apps = Apps(stores, WebhookSettings(_env_file=None, allow="127.0.0.0/8"), Nobody())
    hook: Any = SimpleNamespace(tenant="default", session_id=1)
    outcome = await apps.put(hook, "app://chatwoot/app", event(1, "hi"), EventSource(name="alice"))
    await apps.close()
    assert outcome.error
    assert not outcome.delivered
