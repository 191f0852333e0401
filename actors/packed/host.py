"""The process side of a pack: one loop, one pool of connections, many sessions.

What it has to run stands in PostgreSQL; it looks there every second, which also says that it is
alive, and at once when somebody pokes it.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import structlog

from actors.endless import endless
from actors.packed.renewals import BatchedOwnership
from actors.packed.shared_dead_man import SharedDeadMan
from actors.packed.slot import CALLS, Slot
from actors.session.dead_man import DeadMan
from actors.session.disk import FullDisk
from actors.session.session import ClientFactory, Session
from actors.vitals import tell_vitals
from cluster.domain.errors import GatewayError, NotOwner, Unavailable
from cluster.settings import Settings
from cluster.stores import Stores

__all__ = ["PackHost"]

log = structlog.get_logger(__name__)
T = TypeVar("T")

_LOOK_SECONDS = 1.0
#: Renewals that are asked for within so many seconds go in one statement.
_BEAT = 0.2
#: Threads besides those that devices and their calls may hold, each for as long as the library
#: likes: S3, files, control. They are made when they are needed.
_SPARE_THREADS = 64
#: Sessions that ended in this process, by capacity, until it counts as worn: each leaves a little
#: behind in the library (a database handle; a thread when it was never paired).
_WORN = 4
_CRASHED = 71
#: Sessions that start at once: what they do then is work for the processor.
_STARTS_AT_ONCE = 8
#: How long a thread keeps Python's lock from others, seconds. With the usual 5 ms a hundred busy
#: threads would keep it from the loop for half a second, and leases are renewed there.
_SWITCH_SECONDS = 0.0005


class PackHost:
    """Hosts the sessions of one pack for as long as the process lives."""

    def __init__(
        self,
        *,
        pack: int,
        capacity: int,
        node: str,
        settings: Settings,
        client_factory: Callable[[Settings], ClientFactory],
        hand_over: Callable[[int, int, list[bytes]], Coroutine[Any, Any, bool]],
        move_away: Callable[[int, bool], Awaitable[bool]],
        dead_man: DeadMan | None = None,
    ) -> None:
        """`hand_over`: gives what a fenced session received to the pack that has it by now;
        `move_away`: see `actors.moving.ask_to_move`."""
        self._pack = pack
        self._capacity = capacity
        self._node = node
        settings.stores = settings.stores.model_copy(
            update={"database_pool_max": _connections(settings, capacity)}
        )
        self._settings = settings
        self._make_factory = client_factory
        self._factory: ClientFactory | None = None
        self._dead_man = SharedDeadMan(dead_man or DeadMan())
        self._hand_over = hand_over
        self._move_away = move_away
        self._slots: dict[int, Slot] = {}
        self._ended = 0
        self._stores: Stores | None = None
        self._vitals: asyncio.Task[None] | None = None
        self._poked = asyncio.Event()
        self._closing = False
        self._starting = asyncio.Semaphore(_STARTS_AT_ONCE)
        self._disk = FullDisk(settings.data_dir, settings.spool.min_free_bytes)
        sys.setswitchinterval(_SWITCH_SECONDS)
        self._loop = asyncio.new_event_loop()
        self._loop.set_default_executor(
            ThreadPoolExecutor(threads(capacity), thread_name_prefix="wa")
        )
        threading.Thread(target=self._main, name="pack-loop", daemon=True).start()
        asyncio.run_coroutine_threadsafe(self._run(), self._loop)

    # -- from outside ---------------------------------------------------------------------------

    def submit(self, work: Callable[[], Coroutine[Any, Any, T]]) -> Future[T]:
        """Run a coroutine in the pack's loop."""

        async def run() -> T:
            return await work()

        return asyncio.run_coroutine_threadsafe(run(), self._loop)

    def describe(self) -> dict[str, Any]:
        """For logs and the dashboard; safe from any thread."""
        sessions = [slot.session for slot in list(self._slots.values())]
        return {
            "pack": self._pack,
            "node": self._node,
            "capacity": self._capacity,
            "sessions": len(sessions),
            "statuses": dict(Counter(s.status.value if s else "STARTING" for s in sessions)),
            "ended": self._ended,
        }

    # -- in the pack's loop -----------------------------------------------------------------------

    async def call(
        self, session_id: int, work: Callable[[Session], Coroutine[Any, Any, T]], *, turn: bool
    ) -> T:
        """Do something with a session. `turn`: wait for one of the session's turns.

        Raises `NotOwner` when it is not here, `Unavailable` while it is being started.
        """
        slot = self._slots.get(session_id)
        if slot is None:
            self._poked.set()
            raise NotOwner("the session is not in this pack", retry_after=1)
        if not turn:
            return await work(slot.running)
        async with slot.calls:
            return await work(slot.running)

    async def stop(self, session_id: int) -> None:
        """End a session cleanly; returns when its ownership is released, at once without it."""
        slot = self._slots.get(session_id)
        if slot is not None:
            slot.stop()
            await asyncio.shield(slot.done)

    async def stop_all(self) -> int:
        """End all of them cleanly and start none any more; returns how many there were."""
        self._closing = True
        slots = list(self._slots.values())
        for slot in slots:
            slot.stop()
        await asyncio.gather(*(asyncio.shield(slot.done) for slot in slots))
        return len(slots)

    async def look(self) -> None:
        """Look now what is to run here."""
        self._poked.set()

    def _main(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    async def _run(self) -> None:
        try:
            stores = await self._open()
            self._vitals = asyncio.create_task(
                endless("vitals", lambda: tell_vitals(stores.cache, lambda: self._slots))
            )
            while True:
                await self._look(stores)
                try:
                    async with asyncio.timeout(_LOOK_SECONDS):
                        await self._poked.wait()
                except TimeoutError:
                    continue
                finally:
                    self._poked.clear()
        except Exception:
            # Not fit to go on: let the process end, so that Ray starts a fresh one.
            log.exception("pack.crashed", pack=self._pack)
            os._exit(_CRASHED)

    async def _open(self) -> Stores:
        while True:
            try:
                stores = await Stores.open(self._settings, plan_once=True)
                break
            except Unavailable as error:
                log.warning("pack.stores_away", error=error.detail)
                await asyncio.sleep(0.5)
        stores.ownership = BatchedOwnership(stores.db, beat=_BEAT)
        self._stores = stores
        self._factory = self._make_factory(self._settings)
        return stores

    async def _look(self, stores: Stores) -> None:
        try:
            wanted = await stores.packs.look(self._pack, worn=self._worn)
        except Unavailable as error:
            log.warning("pack.stores_away", error=error.detail)
            return
        if wanted is None:
            log.warning("pack.is_no_more", pack=self._pack)
            wanted = frozenset()
        for session_id, slot in self._slots.items():
            if session_id not in wanted:
                slot.stop()
        if not self._closing:
            for session_id in wanted - self._slots.keys():
                self._begin(session_id, stores)

    def _begin(self, session_id: int, stores: Stores) -> None:
        assert self._factory is not None  # noqa: S101 - made with the stores

        async def hand_over(entries: list[bytes]) -> bool:
            return await self._pass_on(session_id, entries, stores)

        slot = Slot(
            session_id=session_id,
            node=self._node,
            stores=stores,
            settings=self._settings,
            client_factory=self._factory,
            switch=self._dead_man.switch(),
            hand_over=hand_over,
            move_away=partial(self._move_away, session_id),
            starting=self._starting,
            disk=self._disk,
        )
        self._slots[session_id] = slot
        slot.done.add_done_callback(lambda _: self._left(session_id))

    def _left(self, session_id: int) -> None:
        slot = self._slots.pop(session_id)
        self._ended += slot.session is not None
        if slot.session is not None and slot.session.may_connect:
            log.error("pack.client_may_connect", pack=self._pack, session_id=session_id)
            os._exit(_CRASHED)

    async def _pass_on(self, session_id: int, entries: list[bytes], stores: Stores) -> bool:
        """False: it stays in the spool, for the session's next owner on this node."""
        try:
            pack = await stores.packs.pack_of(session_id)
        except GatewayError as error:
            log.warning("pack.not_handed_over", entries=len(entries), error=error.detail)
            return False
        return (
            bool(pack) and pack != self._pack and await self._hand_over(pack, session_id, entries)
        )

    @property
    def _worn(self) -> bool:
        return self._ended >= self._capacity * _WORN + _SPARE_THREADS // 2


def threads(capacity: int) -> int:
    """So many that sessions whose every call hangs leave their neighbours theirs."""
    return capacity * (1 + CALLS) + _SPARE_THREADS


def _connections(settings: Settings, capacity: int) -> int:
    """Connections to PostgreSQL: far fewer than sessions, for each needs one a moment at a time."""
    return max(settings.stores.database_pool_max, min(32, 8 + capacity // 8))
