"""What Redis' client raises while Redis is unreachable, or was."""

from __future__ import annotations

from redis.exceptions import RedisError

__all__ = ["REDIS_ERRORS"]

#: `RuntimeError`: uvloop's, when a connection is written to that broke since it was used last.
REDIS_ERRORS = (RedisError, OSError, RuntimeError)
