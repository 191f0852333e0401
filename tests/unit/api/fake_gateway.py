"""A gateway that answers from memory: for shapes and refusals of the HTTP front only. What really
happens to sessions and messages is shown by the acceptance tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, TypeVar, cast

from fake_apps import FakeApps
from fake_keys import FakeKeys
from fake_subjects import ANSWERS, FakeLabelStore

from api.gateway import GatewayFactory
from client import NumberStatus, QrCode
from client.subjects import Subjects
from client.workshop import Workshop
from cluster.domain.chat_id import parse_chat_id
from cluster.domain.contact import Contact
from cluster.domain.errors import (
    Conflict,
    GatewayError,
    SessionNotFound,
    SessionNotWorking,
)
from cluster.domain.message import (
    Ack,
    MessageFilter,
    MessagePage,
    OutboxState,
    SentMessage,
    StoredMessage,
)
from cluster.domain.session import (
    DesiredState,
    Me,
    SessionRecord,
    SessionStatus,
    check_session_name,
)
from cluster.domain.verbs.verb import Verb, plain
from cluster.settings import MediaSettings

R = TypeVar("R")
KEY = "the-key"
#: Bytes of a body, in these tests.
LIMIT = 4096
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ME = Me(id="4915100001@c.us", push_name="Alice", jid="4915100001:3@s.whatsapp.net")


@dataclass
class FakeGateway:
    """`fail` is raised by every verb when set; `sends` and `filters` record what came through."""

    records: dict[str, SessionRecord] = field(default_factory=dict)
    sends: list[dict[str, Any]] = field(default_factory=list)
    filters: list[MessageFilter] = field(default_factory=list)
    fail: GatewayError | None = None
    closed: bool = False
    store_ok: bool = True
    libraries: list[dict[str, Any]] = field(default_factory=list)
    smaller: dict[str, dict[str, str]] = field(default_factory=dict)
    without_owner: int = 0
    keys: FakeKeys = field(default_factory=FakeKeys)
    #: (verb, arguments) of everything that was asked of sessions' owners.
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    labels: FakeLabelStore = field(default_factory=FakeLabelStore)
    workshop: Workshop = field(default_factory=lambda: Workshop(MediaSettings()))
    apps: FakeApps = field(init=False)

    def __post_init__(self) -> None:
        self.apps = FakeApps(self.keys)

    def add(self, name: str, status: SessionStatus) -> None:
        desired = DesiredState.STOPPED if status is SessionStatus.STOPPED else DesiredState.RUNNING
        self.records[name] = SessionRecord(
            id=len(self.records) + 1,
            tenant="default",
            name=name,
            desired=desired,
            status=status,
            me=ME if status is SessionStatus.WORKING else None,
            created_at=NOW,
            updated_at=NOW,
        )

    def session(self, name: str) -> FakeSession:
        return FakeSession(self, check_session_name(name))

    async def create_session(
        self, name: str, config: dict[str, Any], *, start: bool = True
    ) -> SessionRecord:
        if name in self.records:
            raise Conflict(session=name)
        self.add(name, SessionStatus.STARTING if start else SessionStatus.STOPPED)
        return await self.session(name).update(config)

    async def list_sessions(self, *, all: bool = False) -> Sequence[SessionRecord]:
        return [r for r in self.records.values() if all or r.status is not SessionStatus.STOPPED]

    async def smaller_promises(self, records: Sequence[SessionRecord]) -> list[dict[str, str]]:
        return [self.smaller.get(record.name, {}) for record in records]

    async def health(self) -> dict[str, dict[str, Any]]:
        return {"postgresql": {"ok": self.store_ok, "latency_ms": 1.2}, "redis": {"ok": True}}

    async def ownerless(self) -> int:
        return self.without_owner

    async def library(self) -> list[dict[str, Any]]:
        return self.libraries

    async def environment(self, *, all: bool = False) -> dict[str, str]:
        return {"S3_BUCKET": "gateway"}

    async def version(self) -> dict[str, str]:
        return {"whatsapp-session-gateway": "1.2.3", "ray": "2.60.0"}

    async def close(self) -> None:
        self.closed = True


def served(fake: FakeGateway) -> GatewayFactory:
    """For `create_app`; a verb that the fake does not have fails where a test asks for it."""
    return cast("GatewayFactory", lambda: fake)


class NobodyKnown:
    """A history that has heard of nobody."""

    async def contacts(self, session_id: int) -> list[Contact]:
        return []


class FakeSession(Subjects):
    """With the real facades by subject; what the session's owner answers is made up."""

    def __init__(self, gateway: FakeGateway, name: str) -> None:
        self._gateway, self._name = gateway, name
        self.name = name

    async def info(self) -> SessionRecord:
        if self._gateway.fail:
            raise self._gateway.fail
        if self._name not in self._gateway.records:
            raise SessionNotFound(session=self._name)
        return self._gateway.records[self._name]

    async def _set(self, **changes: Any) -> SessionRecord:
        self._gateway.records[self._name] = replace(await self.info(), **changes)
        return await self.info()

    async def update(self, config: dict[str, Any]) -> SessionRecord:
        return await self._set(config=config)

    async def delete(self) -> None:
        await self.info()
        del self._gateway.records[self._name]

    async def start(self) -> SessionRecord:
        return await self._set(status=SessionStatus.STARTING, desired=DesiredState.RUNNING)

    async def stop(self) -> SessionRecord:
        return await self._set(status=SessionStatus.STOPPED, desired=DesiredState.STOPPED)

    async def restart(self) -> SessionRecord:
        return await self.start()

    move = restart

    async def logout(self) -> SessionRecord:
        await self._set(me=None)
        return await self.stop()

    async def request(self, verb: Verb[R], *, timeout: float = 0.0) -> R:
        await self._expect(SessionStatus.WORKING)
        self._gateway.requests.append((verb.wire_name, plain(verb)))
        return verb.read_answer(ANSWERS.get(verb.wire_name))

    async def opened(self) -> tuple[Any, SessionRecord]:
        stores = SimpleNamespace(labels=self._gateway.labels, people=NobodyKnown(), objects=None)
        return stores, await self.info()

    async def working(self) -> tuple[Any, SessionRecord]:
        await self._expect(SessionStatus.WORKING)
        return await self.opened()

    @property
    def workshop(self) -> Workshop:
        return self._gateway.workshop

    async def me(self) -> Me | None:
        return (await self.info()).me

    sender = me

    async def _expect(self, status: SessionStatus) -> None:
        present = (await self.info()).status
        if present is not status:
            raise SessionNotWorking(
                session=self._name, status=present.value, expected=[status.value]
            )

    async def qr(self) -> QrCode:
        await self._expect(SessionStatus.SCAN_QR_CODE)
        return QrCode(text="2@ref,noise,identity,adv", expires_in=timedelta(seconds=20))

    async def request_code(self, phone_number: str) -> str:
        await self._expect(SessionStatus.SCAN_QR_CODE)
        return "ABCD-EFGH"

    async def send_text(self, chat_id: str, text: str, **options: Any) -> SentMessage:
        # As the client does: nobody before it judges them.
        chat = parse_chat_id(chat_id)
        for one in options.get("mentions", ()):
            parse_chat_id(one, "mentions")
        await self._expect(SessionStatus.WORKING)
        self._gateway.sends.append({"chat_id": chat.jid, "text": text} | options)
        return SentMessage(
            message_id="3EB0AAAAAAAAAAAAAAAAAA",
            chat=chat.jid,
            state=OutboxState.SENT,
            timestamp=NOW,
            content={"kind": "text", "text": text},
        )

    async def page(self, wanted: MessageFilter, /) -> MessagePage:
        await self.info()
        self._gateway.filters.append(wanted)
        message = StoredMessage(
            message_id="3EB0BBBBBBBBBBBBBBBBBB",
            chat="4915100002@s.whatsapp.net",
            sender="4915100002@s.whatsapp.net",
            from_me=False,
            timestamp=NOW,
            kind="text",
            body="hello",
            ack=Ack.DEVICE,
        )
        return MessagePage(messages=(message,), following=None)

    async def check_number(self, phone: str) -> NumberStatus:
        await self._expect(SessionStatus.WORKING)
        exists = phone.endswith("2")
        return NumberStatus(number=phone, exists=exists, chat_id=f"{phone}@c.us" if exists else "")
