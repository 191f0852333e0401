"""The account's groups, remembered for a while: WhatsApp answers those who ask often with
`rate-overlimit`."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from cluster.domain.group import Group

__all__ = ["GroupCache"]

#: Seconds that a list is good for. Changes that WhatsApp reports end it before.
_LIFETIME = 600.0


class GroupCache:
    """One list of groups. `forget` may be called from any thread."""

    def __init__(self, lifetime: float = _LIFETIME) -> None:
        self._lifetime = lifetime
        self._list: list[Group] | None = None
        self._until = 0.0
        self._changes = 0

    def forget(self) -> None:
        """Something about some group changed."""
        self._changes += 1
        self._list = None

    async def get(self, fetch: Callable[[], Awaitable[list[Group]]]) -> list[Group]:
        """The remembered list, or what `fetch` gives, which is remembered unless something changed
        meanwhile."""
        known = self._list
        if known is not None and time.monotonic() < self._until:
            return known
        before = self._changes
        found = await fetch()
        if self._changes == before:
            self._list, self._until = found, time.monotonic() + self._lifetime
        return found
