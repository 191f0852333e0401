"""How many requests a key, a tenant, a session, and an address without a good key may make.

Counted in Redis by `limits` (sliding windows), so that all replicas count together. While Redis is
away, what `LIMIT_WITHOUT_REDIS` says holds.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from redis.exceptions import RedisError

from cluster.domain.errors import RateLimited, Unavailable
from cluster.settings import LimitSettings, StoreSettings

__all__ = ["RateLimits", "Standing", "sessions_of"]

log = structlog.get_logger(__name__)

#: Redis answers in well under a millisecond; a request must not wait for one that hangs.
_REDIS_SECONDS = 0.5
#: After a failure Redis is left alone for so long.
_PAUSE_SECONDS = 5.0
#: First parts of paths: those that a session follows, and those that are none.
_BEFORE_SESSION = frozenset({"sessions", "files"})
_NO_SESSION = frozenset({"apps", "contacts", "keys", "send", "server"})


@dataclass(frozen=True, slots=True)
class Standing:
    """How a caller stands with a limit."""

    limit: int
    remaining: int
    #: Seconds until the whole limit is there again.
    reset: int

    def headers(self) -> dict[str, str]:
        """As draft-ietf-httpapi-ratelimit-headers-03 names them."""
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset),
        }


class RateLimits:
    """The limits of the settings. Belongs to one event loop."""

    def __init__(self, settings: LimitSettings, stores: StoreSettings) -> None:
        self._settings = settings
        self._items = {
            kind: parse(text) if text else None
            for kind, text in (
                ("key", settings.per_key),
                ("tenant", settings.per_tenant),
                ("session", settings.per_session),
                ("stranger", settings.per_stranger),
            )
        }
        # A connection is made by the first request.
        self._redis = SlidingWindowCounterRateLimiter(
            RedisStorage(
                f"async+{stores.redis_url.get_secret_value()}",
                implementation="redispy",
                key_prefix="limit",
                socket_timeout=_REDIS_SECONDS,
                socket_connect_timeout=_REDIS_SECONDS,
            )
        )
        self._memory: SlidingWindowCounterRateLimiter | None = None
        self._away_until = float("-inf")

    async def take(self, *counted: tuple[str, str]) -> Standing | None:
        """Count one request against (kind, whose) each. Returns how the first that is limited
        stands, None when nothing is; to ask for the others as well would cost as much as counting.
        Raises `RateLimited`, which tells of the one that was hit; `Unavailable` when Redis is away
        and no request may come in without it."""
        first: Standing | None = None
        for kind, whose in counted:
            item = self._items[kind]
            if item is not None:
                standing = await self._hit(item, kind, whose, asked=first is None)
                first = first or standing
        return first

    async def count(self, kind: str, whose: str) -> None:
        """Count one request, and ask for no standing that nobody reads. Raises as `take`."""
        item = self._items[kind]
        if item is not None:
            await self._hit(item, kind, whose, asked=False)

    async def _hit(
        self, item: RateLimitItem, kind: str, whose: str, *, asked: bool
    ) -> Standing | None:
        limiter = self._limiter()
        if limiter is None:
            raise Unavailable("requests cannot be counted: Redis is away", retry_after=2)
        try:
            return await self._count(limiter, item, kind, whose, asked=asked)
        except (RedisError, OSError) as error:
            self._away(error)
            return await self._hit(item, kind, whose, asked=asked)

    async def _count(
        self,
        limiter: SlidingWindowCounterRateLimiter,
        item: RateLimitItem,
        kind: str,
        whose: str,
        *,
        asked: bool,
    ) -> Standing | None:
        admitted = await limiter.hit(item, kind, whose)
        if admitted and not asked:
            return None
        stats = await limiter.get_window_stats(item, kind, whose)
        reset = max(1, math.ceil(stats.reset_time - time.time()))
        standing = Standing(item.amount, max(0, int(stats.remaining)), reset)
        if not admitted:
            raise RateLimited(
                f"more than {item} for this {kind}", retry_after=reset, scope=kind, limit=str(item)
            )
        return standing

    def _limiter(self) -> SlidingWindowCounterRateLimiter | None:
        """Redis, or what stands in for it; None when nothing may."""
        if time.monotonic() >= self._away_until:
            return self._redis
        if self._settings.without_redis == "refuse":
            return None
        if self._memory is None:
            self._memory = SlidingWindowCounterRateLimiter(MemoryStorage())
        return self._memory

    def _away(self, error: Exception) -> None:
        self._away_until = time.monotonic() + _PAUSE_SECONDS
        log.warning("limits.redis_away", error=type(error).__name__)


def sessions_of(path: str, query: Sequence[tuple[str, str]]) -> set[str]:
    """The sessions that the address of a request may mean; bodies are looked at where they are
    read."""
    first, _, rest = path.removeprefix("/api/").partition("/")
    if first in _BEFORE_SESSION:
        first, rest = rest.partition("/")[0], "/"
    found = {first} if rest and first not in _NO_SESSION else set()
    return (found | {value for name, value in query[:100] if name == "session"}) - {""}
