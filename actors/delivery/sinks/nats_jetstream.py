"""NATS JetStream: subject `<prefix>.<session>.<event>`, deduplicated by the event's id."""

from __future__ import annotations

import asyncio
from typing import Any

from actors.delivery.sinks.sink import SinkError, SinkRecord

__all__ = ["NatsSink"]


class NatsSink:
    """Publishes to a stream, which it makes when there is none over its subjects."""

    def __init__(self, url: str, *, stream: str, prefix: str, timeout: float) -> None:
        self._url = url
        self._stream = stream
        self._prefix = prefix
        self._timeout = timeout
        self._client: Any = None
        self._opening = asyncio.Lock()

    async def put(self, record: SinkRecord) -> None:
        from nats.errors import Error as NatsError

        try:
            async with self._opening:
                if self._client is None:
                    self._client = await self._connect()
            subject = f"{self._prefix}.{record.session}.{record.type}"
            await self._client.jetstream().publish(
                subject, record.body, timeout=self._timeout, headers={"Nats-Msg-Id": record.id}
            )
        except (NatsError, TimeoutError, OSError) as error:
            raise SinkError(f"NATS: {str(error) or type(error).__name__}") from error

    async def _connect(self) -> Any:
        # Optional: `pip install whatsapp-session-gateway[nats]`.
        import nats
        from nats.js.errors import NotFoundError

        async def quiet(_: Exception) -> None:
            """What fails is seen by who publishes."""

        client = await nats.connect(
            self._url,
            connect_timeout=int(max(1, self._timeout)),
            max_reconnect_attempts=-1,
            error_cb=quiet,
        )
        stream = client.jetstream()
        subjects = f"{self._prefix}.>"
        try:
            await stream.find_stream_name_by_subject(subjects)
        except NotFoundError:
            await stream.add_stream(name=self._stream, subjects=[subjects])
        return client

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()
