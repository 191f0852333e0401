"""The process side of a session: a thread with an event loop in which the session lives.

Ray runs each concurrency group of an async actor in a loop of its own, and neonize binds its
callbacks to one loop per process; so the session has its own loop, and actor methods cross over.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from enum import Enum, auto
from typing import Any, TypeVar

import structlog

from actors.endless import endless
from actors.moving import MoveAway, reaches_postgresql
from actors.session.dead_man import DeadMan
from actors.session.disk import nearly_full
from actors.session.session import DISK_FULL, ClientFactory, HandOver, Session
from actors.supervision.admission import admitted
from actors.vitals import tell_vitals
from cluster.domain.errors import GatewayError, Unavailable
from cluster.domain.session import DesiredState, SessionRecord, SessionStatus
from cluster.settings import Settings
from cluster.stores import Stores

__all__ = ["SessionHost"]

log = structlog.get_logger(__name__)
T = TypeVar("T")

#: Exit code of a process that lost its lease.
FENCED = 70
#: Threads for the library's blocking calls: one per connected device and some for its calls.
_THREADS = 64
#: Seconds between tries to reach PostgreSQL at the start, at most; and to be moved where it does.
_AGAIN, _ASK = 0.5, 3.0
#: A process owns its session so often, one time after the other, before a fresh one takes over:
#: the library leaves a little behind each time.
_OWNED_AT_MOST = 8


class _After(Enum):
    """What follows when the session is not owned any more."""

    EXIT = auto()
    WAIT = auto()
    #: Own it again in this process: it was only that PostgreSQL was not reached in time.
    AGAIN = auto()


class SessionHost:
    """Runs one session in its own loop and thread, for as long as the process lives."""

    def __init__(
        self,
        *,
        session_id: int,
        node: str,
        settings: Settings,
        client_factory: Callable[[Settings], ClientFactory],
        dead_man: DeadMan | None = None,
        hand_over: HandOver | None = None,
        move_away: MoveAway | None = None,
    ) -> None:
        self._session_id = session_id
        self._node = node
        self._settings = settings
        self._client_factory = client_factory
        self._dead_man = dead_man
        self._hand_over = hand_over
        self._move_away = move_away
        self._waits_for = "the session is being started"
        self._session: Session | None = None
        self._stores: Stores | None = None
        self._over = threading.Event()
        self._told_to_stop = False
        self._loop = asyncio.new_event_loop()
        self._loop.set_default_executor(ThreadPoolExecutor(_THREADS, thread_name_prefix="wa"))
        self._thread = threading.Thread(target=self._main, name="session-loop", daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._run(), self._loop)

    @property
    def session(self) -> Session:
        """The session. Raises `Unavailable` until it has claimed its ownership, and after."""
        if self._session is None:
            raise Unavailable(self._waits_for, retry_after=1)
        return self._session

    def submit(self, work: Callable[[], Coroutine[Any, Any, T]]) -> Future[T]:
        """Run a coroutine in the session's loop."""

        async def run() -> T:
            return await work()

        return asyncio.run_coroutine_threadsafe(run(), self._loop)

    async def stop(self) -> None:
        """End the session cleanly; returns when its ownership is released. (Session's loop.)"""
        self._told_to_stop = True
        if self._session is not None:
            self._session.stop()
        await asyncio.to_thread(self._over.wait)

    def describe(self) -> dict[str, Any]:
        """For logs and the dashboard; safe from any thread."""
        if self._session is None:
            return {"session_id": self._session_id, "status": "STARTING", "epoch": 0}
        return self._session.describe()

    def _main(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    async def _run(self) -> None:
        try:
            after = await self._own_on()
        except Exception:
            # Not fit to go on: let the process end, so that Ray starts a fresh one.
            log.exception("host.session_crashed", session_id=self._session_id)
            after = _After.EXIT
        self._over.set()
        if after is _After.WAIT:
            await self._wanted_again()
        log.warning("host.exits", session_id=self._session_id, fenced=after is not _After.WAIT)
        os._exit(FENCED)

    async def _own_on(self) -> _After:
        after = await self._own(again=False)
        for _ in range(_OWNED_AT_MOST - 1):
            if after is not _After.AGAIN or self._session is None:
                break
            self._session, self._waits_for = None, "PostgreSQL was not reached in time"
            log.warning("host.owns_again", session_id=self._session_id)
            after = await self._own(again=True)
        return after

    async def _wanted_again(self) -> None:
        """Return when the session, ended here, is to run again: a fresh process must do that,
        because the library leaves threads behind (pairing that timed out, for one)."""
        while True:
            await asyncio.sleep(1)
            if self._told_to_stop or self._stores is None:
                continue
            try:
                record = await self._stores.sessions.get_by_id(self._session_id)
            except GatewayError as error:
                log.debug("host.record_not_read", error=error.detail)
                continue
            wanted = record.desired is DesiredState.RUNNING
            if wanted and record.status in (SessionStatus.STARTING, SessionStatus.STOPPED):
                return

    async def _own(self, *, again: bool) -> _After:
        """`again`: this process owned it before, and has closed that connection."""
        self._stores, record = await self._record()
        if record.desired is not DesiredState.RUNNING or record.status is SessionStatus.FAILED:
            log.info("host.nothing_to_do", session=record.name, desired=record.desired.value)
            return _After.WAIT
        await self._have_room()
        if not await admitted(
            self._stores,
            self._settings,
            self._session_id,
            self._node,
            lambda: self._told_to_stop,
        ):
            return _After.WAIT
        self._session = Session(
            record=record,
            stores=self._stores,
            settings=self._settings,
            node=self._node,
            client_factory=self._client_factory(self._settings),
            dead_man=self._dead_man,
            hand_over=self._hand_over,
            owned_before=again,
        )
        cache = self._stores.cache
        vitals = asyncio.create_task(
            endless("vitals", lambda: tell_vitals(cache, lambda: [self._session_id]))
        )
        try:
            ended = await self._session.run()
        except GatewayError as error:
            log.warning("host.session_failed", error=error.detail)
            await self._note(self._stores.starts.crashed(self._session_id, error.detail))
            return _After.EXIT
        finally:
            vitals.cancel()
        if ended.cut_off and self._session.has_let_go:
            return await self._back_or_elsewhere(self._session, self._stores)
        away = ended.cut_off and not await self._reaches_postgresql(self._stores)
        if (away or ended.disk_full) and await self._moved(cut_off=away):
            return _After.EXIT
        if ended.how == "fenced":
            # Load or a store that was away: not the session's fault.
            await self._note(self._stores.starts.excuse(self._session_id))
            return _After.EXIT
        stays = self._session.has_let_go and not ended.disk_full
        return _After.WAIT if stays else _After.EXIT

    async def _back_or_elsewhere(self, session: Session, stores: Stores) -> _After:
        """PostgreSQL was not reached in time: go on once it is, unless the session is moved."""
        # Beside the rest: what is left to do for it may need stores that are not reached either.
        abandoning = asyncio.ensure_future(session.abandon())
        moving: asyncio.Future[None] | None = None
        try:
            while not self._told_to_stop and not await self._reaches_postgresql(stores):
                moving = moving or asyncio.ensure_future(self._until_moved())
                await asyncio.wait({moving}, timeout=_AGAIN)
                if moving.done():
                    return _After.EXIT
            await abandoning
        finally:
            abandoning.cancel()
            if moving is not None:
                moving.cancel()
        await self._note(stores.starts.excuse(self._session_id))
        return _After.AGAIN

    async def _until_moved(self) -> None:
        while True:
            if await self._moved(cut_off=True):
                return
            await asyncio.sleep(_ASK)

    async def _reaches_postgresql(self, stores: Stores) -> bool:
        return await reaches_postgresql(stores.sessions.get_by_id(self._session_id))

    async def _record(self) -> tuple[Stores, SessionRecord]:
        """The stores and the session's record, when PostgreSQL is there. A node that alone does not
        reach it asks for the session to be moved."""
        delay, asked = 0.1, time.monotonic()
        while True:
            try:
                if self._stores is None:
                    self._stores = await Stores.open(self._settings, plan_once=True)
                return self._stores, await self._stores.sessions.get_by_id(self._session_id)
            except Unavailable as error:
                log.warning("host.stores_away", error=error.detail)
            if time.monotonic() - asked > _ASK:
                await self._moved(cut_off=True)
                asked = time.monotonic()
            await asyncio.sleep(delay)
            delay = min(delay * 2, _AGAIN)

    async def _have_room(self) -> None:
        """Begin on no full disk: move away, or wait."""
        root, least = self._settings.data_dir, self._settings.spool.min_free_bytes
        while await asyncio.to_thread(nearly_full, root, least) and not self._told_to_stop:
            self._waits_for = DISK_FULL
            log.error("host.disk_full", session_id=self._session_id, folder=str(root))
            await self._moved(cut_off=False)
            await asyncio.sleep(_ASK)

    async def _moved(self, *, cut_off: bool) -> bool:
        return self._move_away is not None and await self._move_away(cut_off)

    async def _note(self, work: Coroutine[Any, Any, None]) -> None:
        """Write down how the process ends, where that is possible."""
        try:
            await work
        except GatewayError as error:
            log.warning("host.end_not_noted", error=error.detail)
