"""RabbitMQ: a durable topic exchange, routing key `<session>.<event>`, confirmed by the broker."""

from __future__ import annotations

import asyncio
from typing import Any

from actors.delivery.sinks.sink import SinkError, SinkRecord

__all__ = ["RabbitSink"]


class RabbitSink:
    """Publishes persistent messages with the event's id as `message_id`."""

    def __init__(self, url: str, *, exchange: str, timeout: float) -> None:
        self._url = url
        self._name = exchange
        self._timeout = timeout
        self._connection: Any = None
        self._exchange: Any = None
        self._opening = asyncio.Lock()

    async def put(self, record: SinkRecord) -> None:
        import aio_pika
        from aio_pika.exceptions import AMQPError

        try:
            async with self._opening, asyncio.timeout(self._timeout):
                if self._exchange is None or self._connection.is_closed:
                    await self._connect()
            message = aio_pika.Message(
                record.body,
                content_type="application/json",
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                message_id=record.id,
                type=record.type,
                headers={"session": record.session, "seq": record.seq},
            )
            await self._exchange.publish(
                message, routing_key=f"{record.session}.{record.type}", timeout=self._timeout
            )
        except (AMQPError, TimeoutError, OSError) as error:
            raise SinkError(f"RabbitMQ: {str(error) or type(error).__name__}") from error

    async def _connect(self) -> None:
        # Optional: `pip install whatsapp-session-gateway[rabbitmq]`.
        import aio_pika

        self._connection = await aio_pika.connect(self._url, timeout=self._timeout)
        channel = await self._connection.channel(publisher_confirms=True)
        self._exchange = await channel.declare_exchange(
            self._name, aio_pika.ExchangeType.TOPIC, durable=True
        )

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()
