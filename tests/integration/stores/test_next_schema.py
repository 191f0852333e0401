"""Processes of this version go on while the next one's migrations have run under them."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
import pytest_asyncio
from owned_session import CHAT, TTL, Owned, incoming
from pydantic import SecretStr

from cluster.domain.errors import GatewayError
from cluster.domain.history import GroupEvent, HistoryChat, HistoryChunk
from cluster.domain.label import Label
from cluster.domain.message import Ack, MessageFilter, OutboxState
from cluster.domain.outcome import Outcome
from cluster.domain.session import DesiredState, Me, SessionStatus
from cluster.domain.start_pause import StartPolicy
from cluster.settings import Settings
from cluster.stores import Stores
from cluster.stores.audit import AuditEntry
from cluster.stores.database import Database
from cluster.stores.media import StoredFile
from cluster.stores.migrate import migrate
from cluster.stores.webhooks import BreakerRule
from cluster.stores.workers import NodeReport
from cluster.telemetry.metrics.meter import Snapshot

#: psycopg prepares what it has run five times.
_PREPARED = 7
_RULE = BreakerRule(failures=99, pause=timedelta(seconds=1), longest=timedelta(seconds=9))
_LEASE = timedelta(seconds=30)
_POLICY = StartPolicy(
    free=1, first=1, longest=9, give_up_after=9, settled=60, per_second=99, burst=99
)


@pytest.fixture
def own_database(stores_env: dict[str, str]) -> Iterator[str]:
    """A database that this test alone may change."""
    parts, name = urlsplit(stores_env["DATABASE_URL"]), f"next_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(stores_env["DATABASE_URL"], autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        url = urlunsplit(parts._replace(path=f"/{name}"))
        migrate(url)
        yield url
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest_asyncio.fixture
async def old(own_database: str, store_settings: Settings) -> AsyncIterator[Stores]:
    """The stores of an old process, with one connection: what it prepared is all it has."""
    store_settings.stores.database_url = SecretStr(own_database)
    store_settings.stores.database_pool_max = 1
    stores = await Stores.open(store_settings, plan_once=True)
    yield stores
    await stores.close()


async def _owned(stores: Stores) -> Owned:
    record = await stores.sessions.create(
        "default",
        uuid.uuid4().hex,
        {"webhooks": [{"url": "http://receiver/", "events": ["*"]}]},
        DesiredState.RUNNING,
    )
    claim = await stores.ownership.claim(record.id, "node", "holder", TTL)
    return Owned(stores=stores, record=record, epoch=claim.epoch)


def _uses(owned: Owned) -> dict[str, Callable[[], Awaitable[object]]]:
    """Everything that processes do to the tables all the time."""
    s, number, epoch, now = owned.stores, owned.id, owned.epoch, datetime.now(UTC)
    group = GroupEvent(jid="1@g.us", at=now, subject="us", description="", members={}, joined=True)

    async def message() -> None:
        row, _ = await owned.accept(uuid.uuid4().hex.upper())
        await s.outbox.pending(number)
        await s.outbox.get(number, row.message_id)
        await owned.accept(row.message_id)
        await s.outbox.mark_sent(number, epoch, row.message_id, now)
        await s.inbox.record_receipt(
            number,
            epoch,
            chat=CHAT,
            message_ids=[row.message_id],
            sender=CHAT,
            ack=Ack.READ,
            state=OutboxState.READ,
            timestamp=now,
        )
        failed, _ = await owned.accept(uuid.uuid4().hex.upper())
        await s.outbox.mark_failed(number, epoch, failed.message_id, GatewayError("no"), 1)
        assert await s.inbox.record_incoming(
            number, epoch, incoming(uuid.uuid4().hex.upper()), "message"
        )

    async def reading() -> None:
        assert (await s.messages.page(number, MessageFilter(limit=5))).messages
        await s.messages.unread(number, CHAT, 5)
        found = await s.messages.page(number, MessageFilter(limit=1))
        await s.messages.find(number, found.messages[0].message_id)
        assert await s.messages.get(number, found.messages[0].message_id)
        assert await s.chats.list(number)
        await s.people.contacts(number)
        await s.groups.write(number, epoch, group)
        assert await s.groups.list(number)
        await s.labels.of_chat(number, CHAT)

    async def history() -> None:
        chat = HistoryChat(jid=CHAT, name="he", last_at=now, archived=False, marked_unread=False)
        await s.history.record(
            number, epoch, HistoryChunk(messages=(incoming(uuid.uuid4().hex),), chats=(chat,))
        )

    async def sessions() -> None:
        made = await s.sessions.create("default", uuid.uuid4().hex, {}, DesiredState.STOPPED)
        assert await s.sessions.get("default", owned.record.name)
        assert await s.sessions.get_by_id(number)
        assert await s.sessions.list("default")
        await s.sessions.delete(made.id)
        await s.sessions.set_status(
            number, epoch, SessionStatus.WORKING, me=Me(id="4911@c.us", push_name="I")
        )
        await s.sessions.update_config(number, owned.record.config)

    async def ownership() -> None:
        assert await s.ownership.renew(number, epoch, TTL) is not None
        assert await s.ownership.renew_all({number: epoch}, TTL)
        other = await _owned(s)
        await s.starts.begin(other.id, "node", _POLICY)
        await s.starts.list()
        await s.ownership.release(other.id, other.epoch, clean=True)
        await s.sessions.delete(other.id)

    async def checkpoints() -> None:
        seq = len(await s.checkpoints.rows(number))
        await s.checkpoints.commit(
            number,
            epoch,
            seq=seq,
            kind="base",
            base_seq=seq,
            object_key=f"key-{seq}",
            size=1,
            sha256="",
            key_id="k1",
        )
        await s.inspection.checkpoint_keys()
        await s.metrics.totals()
        await s.metrics.add(Snapshot(totals={("a", "b"): 1.0}, gauges={("c", "d"): 2.0}), 0)

    async def events() -> None:
        assert await s.events.append(number, "x", {}, epoch=epoch)
        assert await s.events.append(number, "session.status", {"status": "WORKING"})
        assert await s.events.list(number)

    async def webhooks() -> None:
        taken = await s.webhooks.take(
            lease="mine", lease_for=_LEASE, most=9, room={}, room_each=9, rule=_RULE, latest=_LEASE
        )
        hook = next(one for one in taken if one.session_id == number)
        event = (await s.events.list(number, after=hook.cursor, limit=1))[0]
        outcome = Outcome(status=200, error="", took=timedelta(), retry_after=None)
        assert await s.webhooks.delivered(hook, event, outcome, rule=_RULE, lease_for=_LEASE)
        await s.webhooks.reclaim([x for x in await s.webhooks.leased() if x.id != hook.id])
        for one in taken:
            await s.webhooks.release(one, one.cursor)
        await s.webhooks.states(number)
        await s.webhooks.deliveries(number, key=None, before=None, limit=5)

    async def rest() -> None:
        await s.media.put(
            number, StoredFile(key="k", mimetype="a/b", filename="f", size=1), seconds=9
        )
        assert await s.media.get(number, "k")
        await s.labels.put(number, Label(id="1001", name="l", color=1))
        await s.audit.list("default", before=None, limit=5)
        await s.audit.add(
            AuditEntry(
                tenant="default",
                who="w",
                address="a",
                action="x",
                session="s",
                status=200,
                request_id="r",
            )
        )
        await s.workers.replace([NodeReport(node="node", name="n", address="a", slots=1)])
        await s.workers.list()
        host = await s.hosts.make("node", 5)
        await s.hosts.assign({number: host})
        await s.hosts.sessions_of(host)
        await s.hosts.retire(host)
        await s.hosts.list()
        await s.hosts.remove(host)
        await s.api_keys.list("default")
        await s.api_keys.find("digest")
        await s.pacing.facts(number)

    return {
        "messages": message,
        "reading": reading,
        "history": history,
        "sessions": sessions,
        "ownership": ownership,
        "checkpoints": checkpoints,
        "events": events,
        "webhooks": webhooks,
        "rest": rest,
    }


async def test_columns_that_were_added_change_nothing(old: Stores, own_database: str) -> None:
    owned = await _owned(old)
    uses = _uses(owned)
    for use in uses.values():
        for _ in range(_PREPARED):
            await use()
    with psycopg.connect(own_database, autocommit=True) as next_version:
        tables = next_version.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' "
            "AND NOT EXISTS (SELECT 1 FROM pg_inherits WHERE inhrelid = tablename::regclass)"
        ).fetchall()
        assert len(tables) > 20
        for (table,) in tables:
            # At the end, as ALTER TABLE does it, and one that has a value in every row.
            next_version.execute(
                f"ALTER TABLE {table} ADD COLUMN added_next text, "
                "ADD COLUMN filled_next jsonb NOT NULL DEFAULT '{}'"
            )
        next_version.execute("""UPDATE sessions SET me = me || '{"since_next": true}'""")
    for name, use in uses.items():
        for _ in range(2):
            try:
                await use()
            except Exception as error:
                raise AssertionError(f"{name} does not go on: {error!r}") from error


async def test_a_plan_that_went_stale_is_made_anew(store_settings: Settings) -> None:
    store_settings.stores.database_pool_max = 1
    database = await Database.open(store_settings.stores)
    name = f"stale_{uuid.uuid4().hex[:12]}"
    try:
        await database.run(f"CREATE TABLE {name} (a integer)", {})
        await database.run(f"INSERT INTO {name} (a) VALUES (1)", {})
        for _ in range(_PREPARED):
            assert await database.one(f"SELECT a FROM {name}", {}) == {"a": 1}
        async with database.connection() as connection:
            # Over a connection of its own psycopg would forget its statements by itself.
            backend = connection.info.backend_pid
        with psycopg.connect(
            store_settings.stores.database_url.get_secret_value(), autocommit=True
        ) as other:
            other.execute(f"ALTER TABLE {name} ALTER COLUMN a TYPE bigint")
        for read in (database.one, database.all, database.run):
            await read(f"SELECT a FROM {name}", {})
        # As behind a pooler that gives another server connection.
        await database.run("DEALLOCATE ALL", {})
        async with database.connection() as connection:
            assert connection.info.backend_pid == backend
        assert await database.one(f"SELECT a FROM {name}", {}) == {"a": 1}
    finally:
        await database.run(f"DROP TABLE {name}", {})
        await database.close()
