"""Redis: QR codes and other things that may be lost. Nothing here is the truth of anything."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import structlog

from cluster.domain.errors import Unavailable
from cluster.settings import StoreSettings
from cluster.telemetry.metrics.meter import METER

if TYPE_CHECKING:
    from redis import asyncio as redis
    from redis.driver_info import DriverInfo

__all__ = ["Cache", "driver"]

log = structlog.get_logger(__name__)


#: Facts of processes by when they were reported, and for how long they count.
_LIBRARY, _LIBRARY_SECONDS = "library", 45


@cache
def driver() -> DriverInfo:
    """What the client says of itself. Left alone it reads its package's metadata for each
    connection; a forked process has it from its zygote."""
    from redis.driver_info import DriverInfo

    return DriverInfo()


class Cache:
    """Keys `qr:<session>`, `status:<session>`, `worker:<node>`, `library`, all with a lifetime."""

    def __init__(self, settings: StoreSettings) -> None:
        self._settings = settings

    @cached_property
    def _redis(self) -> redis.Redis:
        # On first use: the import costs 8 MB, and most sessions are linked and show no QR code.
        from redis import asyncio as redis

        timeout = self._settings.store_timeout_seconds
        # The sessions of a pack report how they are at the same moment: they take turns.
        return redis.Redis.from_pool(
            redis.BlockingConnectionPool.from_url(
                self._settings.redis_url.get_secret_value(),
                decode_responses=True,
                socket_timeout=timeout,
                socket_connect_timeout=timeout,
                health_check_interval=15,
                max_connections=20,
                timeout=timeout,
                driver_info=driver(),
            )
        )

    async def close(self) -> None:
        if "_redis" in self.__dict__:
            await self._redis.aclose()

    async def ping(self) -> None:
        with _translated():
            await self._redis.ping()

    async def qr_put(self, session_id: int, text: str, seconds: float) -> None:
        """Put the QR code on show. Raises `Unavailable`."""
        with _translated():
            await self._redis.set(f"qr:{session_id}", text, px=int(seconds * 1000))

    async def qr_get(self, session_id: int) -> tuple[str, float] | None:
        """The QR code on show and its remaining seconds. Raises `Unavailable`."""
        with _translated():
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.get(f"qr:{session_id}")
                pipe.pttl(f"qr:{session_id}")
                text, left = await pipe.execute()
        return (text, max(left, 0) / 1000) if text else None

    async def qr_clear(self, session_id: int) -> None:
        """Take it off show. Raises `Unavailable`."""
        with _translated():
            await self._redis.delete(f"qr:{session_id}")

    async def statuses_put(self, statuses: Mapping[int, dict[str, Any]], seconds: float) -> None:
        """Live status for dashboards, by session id; losing it harms nobody."""
        if not statuses:
            return
        milliseconds = int(seconds * 1000)
        try:
            with _translated():
                async with self._redis.pipeline(transaction=False) as pipe:
                    for session_id, status in statuses.items():
                        pipe.set(f"status:{session_id}", json.dumps(status), px=milliseconds)
                    await pipe.execute()
        except Unavailable as error:
            log.warning("cache.unreachable", error=type(error.__cause__).__name__)

    async def status_many(self, session_ids: Sequence[int]) -> list[dict[str, Any] | None]:
        """By session, in their order; None where there is none, or Redis is not reached."""
        if not session_ids:
            return []
        try:
            with _translated():
                texts = await self._redis.mget([f"status:{one}" for one in session_ids])
        except Unavailable as error:
            log.warning("cache.unreachable", error=type(error.__cause__).__name__)
            return [None] * len(session_ids)
        return [dict(json.loads(text)) if text else None for text in texts]

    async def worker_put(self, node: str, health: dict[str, Any], seconds: float) -> None:
        """A node's health."""
        await self._quiet_put(f"worker:{node}", health, seconds)

    async def worker_get(self, node: str) -> dict[str, Any] | None:
        """None when the node is silent, or Redis is unreachable."""
        return await self._quiet_get(f"worker:{node}")

    async def library_put(self, facts: dict[str, Any]) -> None:
        """What the library of a process keeps (`actors.whatsapp.library.promises.facts`)."""
        now = time.time()
        try:
            with _translated():
                async with self._redis.pipeline(transaction=True) as pipe:
                    pipe.zadd(_LIBRARY, {json.dumps(facts, sort_keys=True): now})
                    pipe.zremrangebyscore(_LIBRARY, "-inf", now - _LIBRARY_SECONDS)
                    pipe.expire(_LIBRARY, _LIBRARY_SECONDS)
                    await pipe.execute()
        except Unavailable as error:
            log.warning("cache.unreachable", error=type(error.__cause__).__name__)

    async def library(self) -> list[dict[str, Any]]:
        """What processes reported lately, each kind once; empty while Redis is unreachable."""
        try:
            with _translated():
                texts = await self._redis.zrangebyscore(
                    _LIBRARY, time.time() - _LIBRARY_SECONDS, "+inf"
                )
        except Unavailable as error:
            log.warning("cache.unreachable", error=type(error.__cause__).__name__)
            return []
        return [dict(json.loads(str(text))) for text in texts]

    async def _quiet_put(self, key: str, value: dict[str, Any], seconds: float) -> None:
        try:
            with _translated():
                await self._redis.set(key, json.dumps(value), px=int(seconds * 1000))
        except Unavailable as error:
            log.warning("cache.unreachable", error=type(error.__cause__).__name__)

    async def _quiet_get(self, key: str) -> dict[str, Any] | None:
        try:
            with _translated():
                text = await self._redis.get(key)
        except Unavailable as error:
            log.warning("cache.unreachable", error=type(error.__cause__).__name__)
            return None
        return dict(json.loads(text)) if text else None


@contextmanager
def _translated() -> Iterator[None]:
    from cluster.stores.redis_errors import REDIS_ERRORS

    try:
        yield
    except REDIS_ERRORS as error:
        METER.count("store_errors", "redis")
        raise Unavailable("Redis is unreachable", retry_after=2) from error
