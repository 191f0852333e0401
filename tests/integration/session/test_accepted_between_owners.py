"""A send is accepted whether anybody owns the session or not; whoever owns it then, sends it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
import pytest_asyncio
from unplugged import Running, Unplugged, start
from waiting import stays

from client.gateway import Gateway
from client.known_sessions import KnownSessions
from client.routing import Ping
from client.session import SessionClient
from cluster.domain.errors import NotOwner, SessionNotFound, SessionNotWorking, Unavailable
from cluster.domain.message import Followed, OutboxState, SentMessage
from cluster.domain.session import DesiredState, Me, SessionRecord, SessionStatus
from cluster.settings import LeaseSettings, Settings
from cluster.stores import Stores

ALICE = Me(id="4915100001@c.us", jid="4915100001:3@s.whatsapp.net")
BOB = Me(id="4915100009@c.us", jid="4915100009:3@s.whatsapp.net")
CHAT, OTHER = "4915100002@c.us", "4915100003@c.us"


@dataclass
class Direct:
    """The router without Ray: the owner of the session is in this process, or there is none."""

    running: Running | None = None
    notified: list[str] = field(default_factory=list)

    def ping(self, record: SessionRecord, age: float = 0.0) -> Ping:
        ping = Ping()
        ping.answered = self.running is not None
        return ping

    async def call_once(self, record: SessionRecord, invoke: Any, *, timeout: float) -> Any:
        owner = self.running
        if owner is None:
            raise Unavailable("the session has no owner yet", retry_after=1)

        def follow(carrier: Any, row: Any, wait: float, *, session_id: int) -> Awaitable[Any]:
            assert session_id == record.id
            self.notified.append(row.message_id)
            return owner.session.calls.follow(row, wait)

        return await invoke(SimpleNamespace(follow=SimpleNamespace(remote=follow)))


class Front(Gateway):
    """A replica of the HTTP front."""

    def __init__(self, settings: Settings, stores: Stores, router: Direct) -> None:
        super().__init__(settings, tenant="default")
        self._stores = stores
        self.router = cast(Any, router)


@pytest.fixture
def router() -> Direct:
    return Direct()


@pytest.fixture
def session(
    record: SessionRecord, stores: Stores, settings: Settings, router: Direct
) -> SessionClient:
    return Front(settings, stores, router).session(record.name)


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What goes out, by its text."""
    out: list[str] = []

    async def send(self: Any, *, chat: str, content: dict[str, Any], message_id: str) -> datetime:
        out.append(str(content["text"]))
        return datetime.now(UTC)

    monkeypatch.setattr(Unplugged, "send", send)
    return out


async def linked(stores: Stores, record: SessionRecord, me: Me | None, status: str) -> None:
    claim = await stores.ownership.claim(
        record.id, "before", "before", LeaseSettings(ttl_seconds=60).ttl
    )
    await stores.ownership.waited(record.id, claim.epoch)
    await stores.sessions.set_status(record.id, claim.epoch, SessionStatus(status), me=me)
    await stores.ownership.release(record.id, claim.epoch, clean=True)


Owning = Callable[[], Awaitable[Running]]


@pytest_asyncio.fixture
async def owning(record: SessionRecord, stores: Stores, settings: Settings, router: Direct) -> Any:
    """Have the session owned in this process, until the test ends."""
    all_of_them: list[Running] = []

    async def own() -> Running:
        settings.lease.renew_seconds = 0.2
        one = start(await stores.sessions.get_by_id(record.id), stores, settings)
        all_of_them.append(one)
        await one.works()
        router.running = one
        return one

    yield own
    for one in all_of_them:
        one.session.stop()
        await one.task


async def sent(wire: list[str], *texts: str) -> None:
    async with asyncio.timeout(20):
        while len(wire) < len(texts):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    await stays(lambda: wire == [*texts], 0.3)


@pytest.mark.parametrize("status", ["STARTING", "WORKING"])
async def test_between_two_owners_sends_are_accepted_at_once_and_go_out_in_order_later(
    record: SessionRecord,
    stores: Stores,
    session: SessionClient,
    wire: list[str],
    owning: Owning,
    status: str,
) -> None:
    await linked(stores, record, ALICE, status)
    answers: list[SentMessage] = []
    for text in ("one", "two", "three"):
        began = time.monotonic()
        answers.append(await session.send_text(CHAT, text, link_preview=False))
        assert time.monotonic() - began < 1
    assert [one.state for one in answers] == [OutboxState.ACCEPTED] * 3
    assert [one.place.ahead for one in answers if one.place] == [0, 1, 2]
    assert wire == []

    await owning()
    await sent(wire, "one", "two", "three")
    again = await session.send_text(
        CHAT, "one", link_preview=False, message_id=answers[0].message_id
    )
    assert (again.replayed, again.state) == (True, OutboxState.SENT)
    await sent(wire, "one", "two", "three")


async def test_a_connected_owner_is_notified_and_reports_what_became_of_it(
    record: SessionRecord,
    stores: Stores,
    session: SessionClient,
    router: Direct,
    wire: list[str],
    owning: Owning,
) -> None:
    await linked(stores, record, ALICE, "STARTING")
    await owning()
    answer = await session.send_text(CHAT, "hello", link_preview=False)
    assert answer.state is OutboxState.SENT
    assert router.notified == [answer.message_id]
    assert wire == ["hello"]


async def test_an_owner_finds_what_nobody_notified_it_of_before_what_came_later(
    record: SessionRecord,
    stores: Stores,
    session: SessionClient,
    router: Direct,
    wire: list[str],
    owning: Owning,
) -> None:
    await linked(stores, record, ALICE, "STARTING")
    running = await owning()
    router.running = None
    await session.send_text(CHAT, "missed", link_preview=False)
    router.running = running
    # Notified of the second one, before its lease reports the first.
    answer = await session.send_text(CHAT, "notified", link_preview=False)
    assert answer.state is OutboxState.SENT
    assert wire == ["missed", "notified"]
    # Nobody notifies it of anything: the renewals find it.
    router.running = None
    await session.send_text(CHAT, "found", link_preview=False)
    await sent(wire, "missed", "notified", "found")


async def test_two_replicas_with_one_key_accept_one_message(
    record: SessionRecord,
    stores: Stores,
    settings: Settings,
    router: Direct,
    wire: list[str],
    owning: Owning,
) -> None:
    await linked(stores, record, ALICE, "WORKING")
    fronts = [Front(settings, stores, router).session(record.name) for _ in range(8)]

    async def both(text: str) -> list[SentMessage]:
        return await asyncio.gather(
            *(
                front.send_text(CHAT, text, link_preview=False, idempotency_key=f"key-{text}")
                for front in fronts
            )
        )

    first = await both("unowned")
    await owning()
    second = await both("owned")
    for answers in (first, second):
        assert len({one.message_id for one in answers}) == 1
        assert sorted(one.replayed for one in answers) == [False] + [True] * 7
    await sent(wire, "unowned", "owned")


async def test_what_a_stopped_session_has_accepted_goes_out_when_it_runs_again(
    record: SessionRecord,
    stores: Stores,
    session: SessionClient,
    router: Direct,
    wire: list[str],
    owning: Owning,
) -> None:
    await linked(stores, record, ALICE, "WORKING")
    await session.send_text(CHAT, "before", link_preview=False)
    await stores.sessions.set_desired(record.id, DesiredState.STOPPED)
    with pytest.raises(SessionNotWorking):
        await SessionClient(session.gateway, record.name).send_text(
            CHAT, "stopped", link_preview=False
        )
    await stores.sessions.set_desired(record.id, DesiredState.RUNNING)
    await owning()
    await sent(wire, "before")


async def test_nothing_goes_out_from_another_account_than_it_was_accepted_for(
    record: SessionRecord,
    stores: Stores,
    session: SessionClient,
    wire: list[str],
    owning: Owning,
) -> None:
    await linked(stores, record, ALICE, "WORKING")
    alices = await session.send_text(CHAT, "Alice's", link_preview=False)
    await linked(stores, record, BOB, "WORKING")
    await SessionClient(session.gateway, record.name).send_text(CHAT, "Bob's", link_preview=False)
    await owning()
    # By a replica that had read the record before: committed after the new account was linked.
    late = await stores.outbox.accept(
        record.id,
        message_id="3EB0LATE000000000000",
        chat="4915100002@s.whatsapp.net",
        sender=ALICE.account,
        kind="text",
        content={"kind": "text", "text": "late"},
        body="late",
    )
    await sent(wire, "Bob's")
    for one in (alices.message_id, late[0].message_id):
        row = await stores.outbox.get(record.id, one)
        assert row is not None
        assert row.state is OutboxState.FAILED


@pytest.mark.parametrize(
    ("me", "status"),
    [(None, "STARTING"), (None, "SCAN_QR_CODE"), (ALICE, "FAILED"), (None, "FAILED")],
)
async def test_a_session_that_cannot_send_accepts_nothing(
    record: SessionRecord, stores: Stores, session: SessionClient, me: Me | None, status: str
) -> None:
    await linked(stores, record, me, status)
    with pytest.raises(SessionNotWorking):
        await session.send_text(CHAT, "no", link_preview=False)
    assert await stores.outbox.pending(record.id) == []


@pytest.fixture
def unanswered(router: Direct, monkeypatch: pytest.MonkeyPatch) -> None:
    """The owner says nothing to what it is notified of."""

    async def hangs(*_: Any, **__: Any) -> Any:
        await asyncio.sleep(60)

    monkeypatch.setattr(router, "call_once", hangs)


async def accepted_soon(sending: Awaitable[SentMessage]) -> None:
    began = time.monotonic()
    answer = await sending
    assert answer.state is OutboxState.ACCEPTED
    assert time.monotonic() - began < 4, "20 s is how long WhatsApp may take"


def pinged(answered: bool | None) -> Callable[..., Ping]:
    ping = Ping()
    ping.answered = answered
    return lambda *_: ping


@pytest.mark.usefixtures("unanswered")
async def test_an_owner_that_stands_still_is_not_waited_for(
    record: SessionRecord, stores: Stores, session: SessionClient
) -> None:
    await linked(stores, record, ALICE, "WORKING")
    await accepted_soon(session.send_text(CHAT, "hello", link_preview=False))


@pytest.mark.usefixtures("unanswered")
@pytest.mark.parametrize("answered", [None, False], ids=["its process is silent", "is not known"])
async def test_an_owner_that_was_cut_off_a_moment_ago_is_not_waited_for(
    record: SessionRecord,
    stores: Stores,
    session: SessionClient,
    router: Direct,
    monkeypatch: pytest.MonkeyPatch,
    answered: bool | None,
) -> None:
    """Its lease was renewed just now, and is for some seconds: nobody can know it from that."""
    await linked(stores, record, ALICE, "WORKING")
    await stores.ownership.claim(record.id, "owner", "owner", timedelta(minutes=10))
    monkeypatch.setattr(router, "ping", pinged(answered))
    await accepted_soon(session.send_text(CHAT, "hello", link_preview=False))


@pytest.mark.usefixtures("unanswered")
async def test_an_owner_that_is_still_opening_the_session_is_not_waited_for(
    record: SessionRecord,
    stores: Stores,
    session: SessionClient,
    router: Direct,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The next one after a takeover: its lease is fresh, its process answers, and it sends what it
    is notified of once it is connected."""
    await linked(stores, record, ALICE, "WORKING")
    claim = await stores.ownership.claim(record.id, "next", "next", timedelta(minutes=10))
    monkeypatch.setattr(router, "ping", pinged(True))
    sending = asyncio.create_task(session.send_text(CHAT, "hello", link_preview=False))
    await stays(lambda: not sending.done(), 1.5, "it is waited for as long as it works")
    await stores.sessions.set_status(record.id, claim.epoch, SessionStatus.STARTING, me=ALICE)
    await accepted_soon(sending)


async def test_whatever_goes_wrong_in_notifying_the_owner_it_is_accepted(
    record: SessionRecord,
    stores: Stores,
    session: SessionClient,
    router: Direct,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await linked(stores, record, ALICE, "WORKING")

    async def breaks(*_: Any, **__: Any) -> Any:
        raise RuntimeError("an owner that answers nonsense")

    monkeypatch.setattr(router, "call_once", breaks)
    answer = await session.send_text(CHAT, "hello", link_preview=False)
    assert answer.state is OutboxState.ACCEPTED
    assert len(await stores.outbox.pending(record.id)) == 1


async def _stops(stores: Stores, record: SessionRecord) -> None:
    await stores.sessions.set_desired(record.id, DesiredState.STOPPED)


async def _fails(stores: Stores, record: SessionRecord) -> None:
    await linked(stores, record, ALICE, "FAILED")


async def _loses_its_account(stores: Stores, record: SessionRecord) -> None:
    await linked(stores, record, None, "SCAN_QR_CODE")


async def _is_forgotten(stores: Stores, record: SessionRecord) -> None:
    await linked(stores, record, ALICE, "STARTING")
    epoch = (await stores.sessions.get_by_id(record.id)).epoch
    await stores.sessions.forget_device(record.id, epoch)


async def _is_deleted(stores: Stores, record: SessionRecord) -> None:
    await stores.sessions.delete(record.id)


async def _is_another_tenant_s(stores: Stores, record: SessionRecord) -> None:
    await stores.sessions.delete(record.id)
    other = await stores.sessions.create("another", record.name, {}, DesiredState.RUNNING)
    await linked(stores, other, ALICE, "WORKING")


async def _is_made_again(stores: Stores, record: SessionRecord) -> None:
    await stores.sessions.delete(record.id)
    await stores.sessions.create(record.tenant, record.name, {}, DesiredState.RUNNING)


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        (_stops, SessionNotWorking),
        (_fails, SessionNotWorking),
        (_loses_its_account, SessionNotWorking),
        (_is_forgotten, SessionNotWorking),
        (_is_deleted, SessionNotFound),
        (_is_another_tenant_s, SessionNotFound),
        (_is_made_again, SessionNotWorking),
    ],
)
async def test_a_session_that_a_replica_knows_from_before_accepts_nothing_any_more(
    record: SessionRecord,
    stores: Stores,
    session: SessionClient,
    change: Callable[[Stores, SessionRecord], Awaitable[None]],
    refusal: type[Exception],
) -> None:
    """However long ago: what a replica knows has no age here, and nobody notifies it of changes."""
    front = session.gateway
    front.known = KnownSessions(clock=lambda: 0.0)
    await linked(stores, record, ALICE, "WORKING")
    first = await session.send_text(CHAT, "before", link_preview=False)
    assert front.known.get("default", record.name) is not None
    await change(stores, record)
    with pytest.raises(refusal):
        await SessionClient(front, record.name).send_text(CHAT, "after", link_preview=False)
    waiting = await stores.outbox.pending(record.id)
    assert {row.message_id for row in waiting} <= {first.message_id}
    for tenant in ("default", "another"):
        with suppress(SessionNotFound):
            now = await stores.sessions.get(tenant, record.name)
            assert now.id == record.id or await stores.outbox.pending(now.id) == []


async def test_a_known_session_sends_from_the_account_that_is_linked_now(
    record: SessionRecord, stores: Stores, session: SessionClient
) -> None:
    front = session.gateway
    front.known = KnownSessions(clock=lambda: 0.0)
    await linked(stores, record, ALICE, "WORKING")
    assert (await session.send_text(CHAT, "Alice's", link_preview=False)).sender == ALICE
    await linked(stores, record, BOB, "WORKING")
    bobs = await SessionClient(front, record.name).send_text(CHAT, "Bob's", link_preview=False)
    assert bobs.sender == BOB
    row = await stores.outbox.get(record.id, bobs.message_id)
    assert row is not None
    assert row.account == BOB.account


async def test_a_session_is_read_once_for_many_texts_and_again_when_its_owner_is_elsewhere(
    record: SessionRecord,
    stores: Stores,
    session: SessionClient,
    router: Direct,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    front, read = session.gateway, stores.sessions.get
    front.known = KnownSessions(clock=lambda: 0.0)
    reads: list[str] = []

    async def counted(tenant: str, name: str) -> SessionRecord:
        reads.append(name)
        return await read(tenant, name)

    async def follows(*_: Any, **__: Any) -> Followed:
        return Followed(sent_at=datetime.now(UTC))

    async def not_here(*_: Any, **__: Any) -> Any:
        raise NotOwner("it is in another process")

    await linked(stores, record, ALICE, "WORKING")
    monkeypatch.setattr(stores.sessions, "get", counted)
    monkeypatch.setattr(front.local, "call", not_here)
    monkeypatch.setattr(router, "call_once", follows)

    async def send(text: str) -> None:
        await SessionClient(front, record.name).send_text(CHAT, text, link_preview=False)

    await send("one")
    await send("two")
    assert len(reads) == 2, "it was answered that the owner is somewhere else"
    monkeypatch.setattr(front.local, "call", _as_followed)
    for text in ("three", "four", "five"):
        await send(text)
    assert len(reads) == 3


async def _as_followed(*_: Any, **__: Any) -> dict[str, Any]:
    return Followed(sent_at=datetime.now(UTC)).to_json()
