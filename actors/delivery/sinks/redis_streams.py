"""Redis streams: one stream for all sessions, cut at a length."""

from __future__ import annotations

from redis import asyncio as redis

from actors.delivery.sinks.sink import SinkError, SinkRecord
from cluster.stores.redis_errors import REDIS_ERRORS

__all__ = ["RedisStreamSink"]


class RedisStreamSink:
    """XADD with the fields `id`, `seq`, `session`, `event` and `body`."""

    def __init__(self, url: str, *, stream: str, length: int, timeout: float) -> None:
        self._stream = stream
        self._length = length
        self._redis: redis.Redis = redis.Redis.from_url(
            url, socket_timeout=timeout, socket_connect_timeout=timeout
        )

    async def put(self, record: SinkRecord) -> None:
        try:
            await self._redis.xadd(
                self._stream,
                {
                    "id": record.id,
                    "seq": record.seq,
                    "session": record.session,
                    "event": record.type,
                    "body": record.body,
                },
                maxlen=self._length,
                approximate=True,
            )
        except REDIS_ERRORS as error:
            raise SinkError(f"Redis: {error}") from error

    async def close(self) -> None:
        await self._redis.aclose()
