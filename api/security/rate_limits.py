"""How many requests a key, a tenant, a session, and an address without a good key may make.

Counted in Redis by `limits` (sliding windows), so that all replicas count together. Who asks often
is counted in blocks: a replica takes as many requests as its caller makes in half a second at once,
never more than a fiftieth of the limit, and admits them by itself. While Redis is unreachable, what
`LIMIT_WITHOUT_REDIS` says holds.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog
from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from cluster.domain.errors import RateLimited, Unavailable
from cluster.settings import LimitSettings, StoreSettings
from cluster.stores.redis_errors import REDIS_ERRORS

__all__ = ["RateLimits", "Standing", "sessions_of"]

log = structlog.get_logger(__name__)

#: Redis answers in well under a millisecond; a request must not wait for one that hangs.
_REDIS_SECONDS = 0.5
#: After a failure Redis is left alone for so long.
_PAUSE_SECONDS = 5.0
#: A block is for so long, holds at most this part of the limit, and there are at most so many.
_BLOCK_SECONDS = 0.5
_BLOCK_PART = 50
_BLOCKS = 10_000
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


@dataclass(slots=True)
class _Block:
    """Requests that are counted already. `since` and `until`: monotonic seconds."""

    size: int
    left: int
    since: float
    until: float
    standing: Standing | None

    def stands(self) -> Standing | None:
        """How the caller stands: what is left of the block is not used up yet."""
        if self.standing is None:
            return None
        return replace(self.standing, remaining=self.standing.remaining + self.left)

    def next_size(self, now: float, most: int) -> int:
        """What its caller would have used up in a block's time."""
        rate = (self.size - self.left) / max(now - self.since, 0.001)
        return max(1, min(int(rate * _BLOCK_SECONDS), 2 * self.size, most))


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
        # That package's name for `unix://` is its own.
        url = stores.redis_url.get_secret_value().replace("unix://", "redis+unix://", 1)
        # A connection is made by the first request.
        self._redis = SlidingWindowCounterRateLimiter(
            RedisStorage(
                f"async+{url}",
                implementation="redispy",
                key_prefix="limit",
                socket_timeout=_REDIS_SECONDS,
                socket_connect_timeout=_REDIS_SECONDS,
            )
        )
        self._memory: SlidingWindowCounterRateLimiter | None = None
        self._unreachable_until = float("-inf")
        self._blocks: OrderedDict[tuple[str, str], _Block] = OrderedDict()

    async def take(self, *counted: tuple[str, str]) -> Standing | None:
        """Count one request against (kind, whose) each. Returns how the first that is limited
        stands, None when nothing is; to ask for the others as well would cost as much as counting.
        Raises `RateLimited`, which names the one that was hit; `Unavailable` when Redis is
        unreachable and no request may come in without it."""
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
        now = time.monotonic()
        block = self._blocks.get((kind, whose))
        usable = block is not None and block.left > 0 and now < block.until
        if block is not None and usable and not (asked and block.standing is None):
            block.left -= 1
            return block.stands()
        most = 1 if kind == "stranger" else item.amount // _BLOCK_PART
        size = 1 if block is None else block.next_size(now, most)
        limiter = self._limiter()
        if limiter is None:
            raise Unavailable("requests cannot be counted: Redis is unreachable", retry_after=2)
        try:
            size, standing = await self._count(limiter, item, kind, whose, size, asked=asked)
        except REDIS_ERRORS as error:
            self._note_unreachable(error)
            return await self._hit(item, kind, whose, asked=asked)
        block = _Block(size, size - 1, now, now + 2 * _BLOCK_SECONDS, standing)
        self._keep((kind, whose), block)
        return block.stands()

    async def _count(
        self,
        limiter: SlidingWindowCounterRateLimiter,
        item: RateLimitItem,
        kind: str,
        whose: str,
        size: int,
        *,
        asked: bool,
    ) -> tuple[int, Standing | None]:
        """How many were admitted, and how the caller stands after them."""
        admitted = await limiter.hit(item, kind, whose, cost=size)
        if not admitted and size > 1:
            size, admitted = 1, await limiter.hit(item, kind, whose)
        if admitted and not asked:
            return size, None
        stats = await limiter.get_window_stats(item, kind, whose)
        reset = max(1, math.ceil(stats.reset_time - time.time()))
        standing = Standing(item.amount, max(0, int(stats.remaining)), reset)
        if not admitted:
            raise RateLimited(
                f"more than {item} for this {kind}", retry_after=reset, scope=kind, limit=str(item)
            )
        return size, standing

    def _keep(self, whose: tuple[str, str], block: _Block) -> None:
        self._blocks[whose] = block
        self._blocks.move_to_end(whose)
        if len(self._blocks) > _BLOCKS:
            self._blocks.popitem(last=False)

    def _limiter(self) -> SlidingWindowCounterRateLimiter | None:
        """Redis, or what stands in for it; None when nothing may."""
        if time.monotonic() >= self._unreachable_until:
            return self._redis
        if self._settings.without_redis == "refuse":
            return None
        if self._memory is None:
            self._memory = SlidingWindowCounterRateLimiter(MemoryStorage())
        return self._memory

    def _note_unreachable(self, error: Exception) -> None:
        self._unreachable_until = time.monotonic() + _PAUSE_SECONDS
        log.warning("limits.redis_unreachable", error=type(error).__name__)


def sessions_of(path: str, query: Sequence[tuple[str, str]]) -> set[str]:
    """The sessions that the address of a request may mean; bodies are looked at where they are
    read."""
    first, _, rest = path.removeprefix("/api/").partition("/")
    if first in _BEFORE_SESSION:
        first, rest = rest.partition("/")[0], "/"
    found = {first} if rest and first not in _NO_SESSION else set()
    return (found | {value for name, value in query[:100] if name == "session"}) - {""}
