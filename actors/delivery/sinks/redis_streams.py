"""Redis streams: one stream for all sessions, cut at a length."""

from __future__ import annotations

from redis import asyncio as redis

from actors.delivery.sinks.sink import SinkError, Told
from cluster.stores.redis_away import REDIS_AWAY

__all__ = ["RedisStreamSink"]


class RedisStreamSink:
    """XADD with the fields `id`, `seq`, `session`, `event` and `body`."""

    def __init__(self, url: str, *, stream: str, length: int, timeout: float) -> None:
        self._stream = stream
        self._length = length
        self._redis: redis.Redis = redis.Redis.from_url(
            url, socket_timeout=timeout, socket_connect_timeout=timeout
        )

    async def put(self, told: Told) -> None:
        try:
            await self._redis.xadd(
                self._stream,
                {
                    "id": told.id,
                    "seq": told.seq,
                    "session": told.session,
                    "event": told.type,
                    "body": told.body,
                },
                maxlen=self._length,
                approximate=True,
            )
        except REDIS_AWAY as error:
            raise SinkError(f"Redis: {error}") from error

    async def close(self) -> None:
        await self._redis.aclose()
