"""One session's place in a pack: admission, the session, and what is left of it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

from actors.moving import MoveAway, reaches_postgresql
from actors.session.dead_man import Switch
from actors.session.disk import FullDisk
from actors.session.session import ClientFactory, HandOver, Session, SessionEnded
from actors.supervision.admission import admitted
from cluster.domain.errors import GatewayError, SessionNotFound, Unavailable
from cluster.domain.session import SessionStatus
from cluster.settings import Settings
from cluster.stores import Stores

__all__ = ["CALLS", "Slot"]

log = structlog.get_logger(__name__)

#: A start that takes longer waits for others, and does not hold them up; between looks at it.
_START_SECONDS, _LOOK = 5.0, 0.05
#: Calls of one session that are worked on at once; more of them wait, and do not hold up others.
CALLS = 16
#: Seconds between requests to be moved.
_ASK = 3.0


class Slot:
    """Runs one session once; whoever hosts it decides whether it starts again."""

    def __init__(
        self,
        *,
        session_id: int,
        node: str,
        stores: Stores,
        settings: Settings,
        client_factory: ClientFactory,
        switch: Switch,
        hand_over: HandOver,
        move_away: MoveAway,
        starting: asyncio.Semaphore,
        disk: FullDisk,
    ) -> None:
        """`move_away`: has the session run on another node; of all sessions of the process:
        `starting`, those that may start at once, and `disk`."""
        self.session_id = session_id
        self.session: Session | None = None
        #: One busy session takes its turns, not everybody's.
        self.calls = asyncio.Semaphore(CALLS)
        self._node = node
        self._stores = stores
        self._settings = settings
        self._client_factory = client_factory
        self._switch = switch
        self._hand_over = hand_over
        self._move_away = move_away
        self._starting = starting
        self._disk = disk
        self._told_to_stop = False
        self.done = asyncio.create_task(self._run(), name=f"slot:{session_id}")

    @property
    def running(self) -> Session:
        """The session. Raises `Unavailable` until it is admitted."""
        if self.session is None:
            raise Unavailable("the session is being started", retry_after=1)
        return self.session

    def stop(self) -> None:
        """End it cleanly; `done` tells when its ownership is released."""
        self._told_to_stop = True
        if self.session is not None:
            self.session.stop()

    async def _run(self) -> None:
        try:
            await self._own()
        except GatewayError as error:
            log.warning("slot.session_failed", session_id=self.session_id, error=error.detail)
            await self._left(error.detail)
        except Exception as error:
            # Its neighbours are not to blame: only this session ends, and is started anew.
            log.exception("slot.session_crashed", session_id=self.session_id)
            await self._left(f"{type(error).__name__}: {error}")
        finally:
            self._switch.disarm()

    async def _own(self) -> None:
        try:
            record = await self._stores.sessions.get_by_id(self.session_id)
        except (SessionNotFound, Unavailable):
            return
        if await self._full_disk() or not await admitted(
            self._stores, self._settings, self.session_id, self._node, lambda: self._told_to_stop
        ):
            return
        self.session = Session(
            record=record,
            stores=self._stores,
            settings=self._settings,
            node=self._node,
            client_factory=self._client_factory,
            dead_man=self._switch,
            hand_over=self._hand_over,
            disk=self._disk,
        )
        if self._told_to_stop:
            self.session.stop()
        ended = await self._run_session(self.session)
        if ended.cut_off:
            # Side by side: what is left to do here needs a PostgreSQL that may not be reached.
            await asyncio.gather(self.session.abandon(), self._back_or_elsewhere())
        elif ended.how == "fenced":
            await self.session.abandon()
        elif ended.disk_full:
            await self._move_away(False)
        if ended.how == "fenced":
            # Load or a store that was away: not the session's fault.
            await self._note(self._stores.starts.excuse(self.session_id))

    async def _full_disk(self) -> bool:
        """Begin on no full disk: move away, or wait. True when it is not to begin here."""
        while await self._disk.seen(within=_LOOK):
            folder = str(self._settings.data_dir)
            log.error("slot.disk_full", session_id=self.session_id, folder=folder)
            if self._told_to_stop or await self._move_away(False):
                return True
            await asyncio.sleep(_ASK)
        return self._told_to_stop

    async def _back_or_elsewhere(self) -> None:
        """PostgreSQL was not reached in time: wait until it is, or the session is moved."""
        while not self._told_to_stop and not await reaches_postgresql(self._stores.db.ping()):
            if await self._move_away(True):
                return
            await asyncio.sleep(_ASK)

    async def _run_session(self, session: Session) -> SessionEnded:
        """Its start is work for the processor, which leases of others must not wait for."""
        async with self._starting:
            running = asyncio.create_task(session.run(), name=f"session:{self.session_id}")
            started = asyncio.create_task(_started(session), name="started")
            await asyncio.wait(
                {running, started}, timeout=_START_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            started.cancel()
        return await running

    async def _left(self, error: str) -> None:
        """It ended by an error: nothing of it may go on here."""
        try:
            if self.session is not None:
                await self.session.abandon()
        except Exception:
            log.exception("slot.not_abandoned", session_id=self.session_id)
        await self._note(self._stores.starts.crashed(self.session_id, error))

    async def _note(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except GatewayError as error:
            log.warning("slot.end_not_noted", error=error.detail)


async def _started(session: Session) -> None:
    while True:
        if session.status is not SessionStatus.STARTING:
            return
        await asyncio.sleep(_LOOK)
