"""One session's place in a process: admission, the session, and what is left of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from enum import Enum, auto
from typing import Any

import structlog

from actors.hosts.admission import admitted
from actors.hosts.relocation import MoveAway, reaches_postgresql
from actors.session.closing import HandOver
from actors.session.dead_man import Switch
from actors.session.disk import FullDisk
from actors.session.owner import SessionEnded
from actors.session.serving import ClientFactory
from actors.session.session import DISK_FULL, Session
from cluster.domain.errors import GatewayError, SessionNotFound, Unavailable
from cluster.domain.session import SessionStatus
from cluster.settings import Settings
from cluster.stores import Stores

__all__ = ["CALLS", "After", "Slot"]

log = structlog.get_logger(__name__)

#: A start that takes longer waits for others, and does not hold them up; between looks at it.
_START_SECONDS, _POLL_SECONDS = 5.0, 0.05
#: Of one session at once: calls into the library, each of which may hold a thread for as long as
#: it likes, and sends. More of them wait, and do not hold up others.
CALLS, _SENDS = 16, 256
#: Seconds between requests to be moved; between looks whether PostgreSQL is back.
_ASK, _AGAIN = 1.0, 0.5


class After(Enum):
    """What follows when a session is not owned any more."""

    #: Nothing of it is left here.
    GONE = auto()
    #: The same, and it was only that PostgreSQL was not reached in time: to be reacquired.
    REACQUIRE = auto()
    #: It crashed, has a newer owner, moves to another node, or could not let go.
    UNFIT = auto()


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
        whatsapp_unreachable: Callable[[], None] | None,
        starting: asyncio.Semaphore,
        disk: FullDisk,
        alone: bool,
        owned_before: int,
    ) -> None:
        """`move_away`: has the session run on another node; `whatsapp_unreachable`: see `Session`;
        of all sessions of the process: `starting`, those that may start at once, and `disk`.
        `alone`: the process may end with the session. `owned_before`: its epoch in this
        process, which has released it."""
        self.session_id = session_id
        self.session: Session | None = None
        #: One busy session takes its turns, not everybody's.
        self.calls = asyncio.Semaphore(CALLS)
        self.sends = asyncio.Semaphore(_SENDS)
        self._waits_for = "the session is being started"
        self._node = node
        self._stores = stores
        self._settings = settings
        self._client_factory = client_factory
        self._switch = switch
        self._hand_over = hand_over
        self._move_away = move_away
        self._whatsapp_unreachable = whatsapp_unreachable
        self._starting = starting
        self._disk = disk
        self._alone = alone
        self._owned_before = owned_before
        self._stop_asked = False
        self.done = asyncio.create_task(self._run(), name=f"slot:{session_id}")

    @property
    def running(self) -> Session:
        """The session. Raises `Unavailable` until it is admitted."""
        if self.session is None:
            raise Unavailable(self._waits_for, retry_after=1)
        return self.session

    def stop(self) -> None:
        """End it cleanly; `done` is set when its ownership is released."""
        self._stop_asked = True
        if self.session is not None:
            self.session.stop()

    async def _run(self) -> After:
        try:
            return await self._own()
        except GatewayError as error:
            log.warning("slot.session_failed", session_id=self.session_id, error=error.detail)
            await self._left(error.detail)
        except Exception as error:
            # Its neighbours are not to blame: only this session ends, and is started anew.
            log.exception("slot.session_crashed", session_id=self.session_id)
            await self._left(f"{type(error).__name__}: {error}")
        finally:
            if self.session is None or not self.session.may_connect:
                self._switch.disarm()
        return After.UNFIT

    async def _own(self) -> After:
        try:
            record = await self._stores.sessions.get_by_id(self.session_id)
        except (SessionNotFound, Unavailable):
            return After.GONE
        if await self._full_disk() or not await admitted(
            self._stores, self._settings, self.session_id, self._node, lambda: self._stop_asked
        ):
            return After.GONE
        self.session = Session(
            record=record,
            stores=self._stores,
            settings=self._settings,
            node=self._node,
            client_factory=self._client_factory,
            dead_man=self._switch,
            hand_over=self._hand_over,
            owned_before=self._owned_before,
            disk=self._disk,
            move_away=self._move_away,
            whatsapp_unreachable=self._whatsapp_unreachable,
        )
        if self._stop_asked:
            self.session.stop()
        return await self._after(self.session, await self._run_session(self.session))

    async def _after(self, session: Session, ended: SessionEnded) -> After:
        after = After.GONE if session.released else After.UNFIT
        if ended.cut_off:
            after = await self._after_cut_off(session)
        elif ended.how == "fenced":
            after = After.UNFIT
            if not self._alone:
                await session.discard()
        elif ended.disk_full:
            after = After.UNFIT
            await self._move_away(False, 0)
        if ended.how == "fenced":
            # Load or a store that was unreachable: not the session's fault.
            await self._note(self._stores.starts.forgive(self.session_id))
        return after

    async def _after_cut_off(self, session: Session) -> After:
        """PostgreSQL was not reached in time."""
        if self._alone and not session.released:
            # The end of the process is sure to let go; another one waits for PostgreSQL as well.
            if not await reaches_postgresql(self._stores.db.ping()):
                await self._move_away(True, session.closed)
            return After.UNFIT
        # Beside the rest: what is left to do here may need stores that are not reached either.
        discarding = asyncio.ensure_future(session.discard())
        try:
            if not await self._back_or_elsewhere(session.closed):
                if not self._alone:
                    await discarding
                return After.UNFIT
            await discarding
        finally:
            discarding.cancel()
        return After.REACQUIRE

    async def _full_disk(self) -> bool:
        """Begin on no full disk: move away, or wait. True when it is not to begin here."""
        while await self._disk.seen(within=_POLL_SECONDS):
            self._waits_for = DISK_FULL
            folder = str(self._settings.data_dir)
            log.error("slot.disk_full", session_id=self.session_id, folder=folder)
            if self._stop_asked or (await self._move_away(False, 0) and not self._alone):
                return True
            await asyncio.sleep(_ASK)
        return self._stop_asked

    async def _back_or_elsewhere(self, closed: int) -> bool:
        """Wait until PostgreSQL is reached, or the session is moved (False)."""
        moving: asyncio.Future[None] | None = None
        try:
            while not self._stop_asked and not await reaches_postgresql(self._stores.db.ping()):
                moving = moving or asyncio.ensure_future(self._until_moved(closed))
                await asyncio.wait({moving}, timeout=_AGAIN)
                if moving.done():
                    return False
        finally:
            if moving is not None:
                moving.cancel()
        return True

    async def _until_moved(self, closed: int) -> None:
        while True:
            if await self._move_away(True, closed):
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
            if self.session is not None and not self._alone:
                await self.session.discard()
        except Exception:
            log.exception("slot.not_discarded", session_id=self.session_id)
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
        await asyncio.sleep(_POLL_SECONDS)
