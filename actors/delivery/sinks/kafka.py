"""Kafka: one topic, keyed by session, so that a session's events stay in order in one partition."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from actors.delivery.sinks.sink import SinkError, SinkRecord

if TYPE_CHECKING:
    from cluster.settings import SinkSettings

__all__ = ["KafkaSink"]


class KafkaSink:
    """Publishes with `acks=all`; the event's id, name and number are headers.

    No idempotent producer: a session's next event is sent after the one before was acknowledged,
    and whoever reads drops an `id` that it knows, as with every sink.
    """

    def __init__(self, settings: SinkSettings, *, timeout: float) -> None:
        """`timeout`: seconds for one request."""
        self._settings = settings
        self._timeout = timeout
        self._producer: Any = None
        self._opening = asyncio.Lock()

    async def put(self, record: SinkRecord) -> None:
        from aiokafka.errors import KafkaError

        try:
            async with self._opening:
                if self._producer is None:
                    self._producer = await self._connect()
            await self._producer.send_and_wait(
                self._settings.kafka_topic,
                record.body,
                key=record.session.encode(),
                headers=[
                    ("id", record.id.encode()),
                    ("event", record.type.encode()),
                    ("seq", str(record.seq).encode()),
                ],
            )
        except (KafkaError, OSError) as error:
            raise SinkError(f"Kafka: {str(error) or type(error).__name__}") from error

    async def _connect(self) -> Any:
        # Optional: `pip install whatsapp-session-gateway[kafka]`.
        from aiokafka import AIOKafkaProducer
        from aiokafka.helpers import create_ssl_context

        chosen = self._settings
        producer = AIOKafkaProducer(
            bootstrap_servers=[s.strip() for s in chosen.kafka_servers.split(",") if s.strip()],
            client_id="whatsapp-session-gateway",
            acks="all",
            request_timeout_ms=int(self._timeout * 1000),
            security_protocol=chosen.kafka_security,
            ssl_context=create_ssl_context() if chosen.kafka_security.endswith("SSL") else None,
            sasl_mechanism=chosen.kafka_mechanism,
            sasl_plain_username=chosen.kafka_user or None,
            sasl_plain_password=chosen.kafka_password.get_secret_value() or None,
        )
        try:
            await producer.start()
        except BaseException:
            # Cancelled as well: what it opened must not stay open.
            await producer.stop()
            raise
        return producer

    async def close(self) -> None:
        if self._producer is not None:
            await self._producer.stop()
