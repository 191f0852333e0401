"""How an actor answers: a value, or an error that the caller can rebuild.

Ray wraps an exception of an actor in its own class with the actor's traceback; a plain reply keeps
the error tree intact and the actor's internals out of the caller's sight.
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any

from cluster.domain.errors import GatewayError, error_from_payload

__all__ = ["Reply", "answer"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """One of the two is set."""

    value: Any = None
    #: `GatewayError.to_payload()`
    error: dict[str, Any] | None = None

    def unwrap(self) -> Any:
        """The value; raises the error otherwise."""
        if self.error is not None:
            raise error_from_payload(self.error)
        return self.value


async def answer(work: Awaitable[Any]) -> Reply:
    """Run `work` and wrap its value or its gateway error; other exceptions pass."""
    try:
        return Reply(value=await work)
    except GatewayError as error:
        return Reply(error=error.to_payload())
