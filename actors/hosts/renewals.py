"""Lease renewals of all sessions of a process, in one statement.

Each session keeps its own time (`actors.session.lease`) and asks for itself, at moments that are
the same for all of a process (`actors.ticks`): who asks in the same turn of the loop goes together.
So a process sends a statement or two a second, however many sessions it has.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from datetime import timedelta

from cluster.stores.database import Database
from cluster.stores.ownership import OwnershipStore, Renewal

__all__ = ["BatchedOwnership"]


class BatchedOwnership(OwnershipStore):
    """`OwnershipStore` with `renew` gathered over a turn of the loop.

    Safe: the owner counts from before it asked, which is before the statement is sent.
    """

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._asked: dict[int, _Asked] = {}
        self._sending: set[asyncio.Task[None]] = set()

    async def renew(
        self, session_id: int, epoch: int, ttl: timedelta, grace: timedelta = timedelta()
    ) -> Renewal | None:
        """See `OwnershipStore.renew`."""
        if session_id in self._asked:
            # Two owners of one session in this process: the epochs decide.
            return await super().renew(session_id, epoch, ttl, grace)
        answer: asyncio.Future[Renewal | None] = asyncio.get_running_loop().create_future()
        first = not self._asked
        self._asked[session_id] = _Asked(epoch, grace, answer)
        if first:
            task = asyncio.create_task(self._gather(ttl), name="renewals")
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
        return await answer

    async def _gather(self, ttl: timedelta) -> None:
        await asyncio.sleep(0)
        asked, self._asked = self._asked, {}
        # All of them stay as long, but for those that were started among other machines.
        for grace in {one.grace for one in asked.values()}:
            await self._send({i: one for i, one in asked.items() if one.grace == grace}, ttl, grace)

    async def _send(self, asked: dict[int, _Asked], ttl: timedelta, grace: timedelta) -> None:
        try:
            owned = await self.renew_all({i: one.epoch for i, one in asked.items()}, ttl, grace)
        except Exception as error:  # noqa: BLE001 - raised to those who asked
            for one in asked.values():
                with contextlib.suppress(asyncio.InvalidStateError):
                    one.answer.set_exception(error)
            return
        for session_id, one in asked.items():
            # Who waited too long has gone.
            with contextlib.suppress(asyncio.InvalidStateError):
                one.answer.set_result(owned.get(session_id))


@dataclass(frozen=True, slots=True)
class _Asked:
    """A renewal that waits for the others of its turn."""

    epoch: int
    grace: timedelta
    answer: asyncio.Future[Renewal | None]
