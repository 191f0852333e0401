"""A clock, the dice and the stores around `cluster.domain.pacing`, for the owner of a session."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

from cluster.domain.pacing import Pace, PacePolicy, Place, paced_chat
from cluster.stores.pacing import PacingStore

__all__ = ["SessionPacing"]

#: A chat that waits for tomorrow is looked at again after this long, seconds: its person may have
#: written meanwhile.
_RECHECK = 60.0


class SessionPacing:
    """What an outbox asks before it sends; see `actors.session.outbox.Pacing`."""

    def __init__(
        self,
        pace: Pace,
        *,
        store: PacingStore,
        session_id: int,
        epoch: int,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._pace = pace
        self._store = store
        self._session_id = session_id
        self._epoch = epoch
        self._clock = clock
        self._chance = chance
        self._known: set[str] = set()

    @classmethod
    async def open(
        cls, policy: PacePolicy, *, store: PacingStore, session_id: int, epoch: int
    ) -> SessionPacing:
        """Goes on where the predecessor stood. Raises `Unavailable`."""
        facts = await store.facts(session_id)
        # Ages, by the database's clock, on one that nobody sets: a wall clock that is set back
        # would stop the session for as long. What seems to be of the future is of now.
        now = time.monotonic()
        pace = Pace.of(
            policy,
            now - max(0.0, facts.now - facts.linked_at),
            [now - max(0.0, facts.now - at) for at in facts.sent],
            [now - max(0.0, facts.now - at) for at in facts.opened],
        )
        return cls(pace, store=store, session_id=session_id, epoch=epoch)

    def wait(self) -> float:
        """Seconds until any message may go."""
        return self._pace.wait(self._clock())

    async def hold(self, chat: str) -> float:
        """Seconds that `chat` has to wait beyond that; 0: it may be written to now, and counts as
        opened. Raises `Unavailable`, `NotOwner`."""
        if not await self._opens(chat):
            return 0.0
        if wait := self._pace.wait_for_opening(self._clock()):
            return min(wait, _RECHECK)
        # Counted before the message goes out: a crash in between must not give it away twice.
        await self._store.open(self._session_id, self._epoch, chat)
        self._pace.opens(self._clock())
        self._known.add(chat)
        return 0.0

    def took(self) -> None:
        """A message went out."""
        self._pace.took(self._clock(), self._chance())

    def typing(self, chat: str, content: dict[str, Any]) -> float:
        """Seconds to show as typing before it goes out."""
        if not paced_chat(chat) and not chat.endswith("@g.us"):
            return 0.0
        return self._pace.policy.typing(content, self._chance())

    async def place(self, chat: str, ahead: int) -> Place:
        """Where a message stands that has `ahead` others before it. Raises `Unavailable`."""
        opens = await self._opens(chat)
        return self._pace.place(ahead, self._clock(), opens=opens)

    async def _opens(self, chat: str) -> bool:
        if not paced_chat(chat) or chat in self._known:
            return False
        if await self._store.knows(self._session_id, chat):
            self._known.add(chat)
            return False
        return True
