"""The process side of sessions: one loop, one pool of connections, one session or many.

Ray runs each concurrency group of an async actor in a loop of its own, and neonize binds its
callbacks to one loop per process; so sessions have their own, and actor methods cross over.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, Literal, TypeAlias, TypeVar

import structlog
import uvloop

from actors.endless import endless
from actors.hosts.renewals import BatchedOwnership
from actors.hosts.shared_dead_man import SharedDeadMan
from actors.hosts.slot import CALLS, After, Slot
from actors.hosts.vitals import publish_vitals
from actors.loop_thread import CRASHED, LoopThread
from actors.retry import retry_until_available
from actors.session.dead_man import DeadMan, Switch
from actors.session.disk import FullDisk
from actors.session.serving import ClientFactory
from actors.session.session import Session
from actors.ticks import tick_apart
from cluster.domain.errors import GatewayError, NotOwner, SessionNotFound, Unavailable
from cluster.domain.session import DesiredState, SessionStatus
from cluster.settings import Settings
from cluster.stores import Stores

__all__ = ["Assigned", "SessionHost", "Turn", "threads"]

log = structlog.get_logger(__name__)
T = TypeVar("T")

#: Seconds between looks what is to run: as long as that is not so, and when all is well. Changes
#: are notified (`SessionHost.wake`).
_POLL_SECONDS, _POLL_WELL = 1.0, 10.0
#: Seconds between tries to reach PostgreSQL at the start; and to be moved where it does.
_AGAIN, _ASK = 0.5, 3.0
#: Threads besides those that devices and their calls may hold, each for as long as the library
#: likes: S3, files, control. They are made when they are needed.
_SPARE_THREADS = 64
#: Sessions that ended in this process, by capacity, until it is retired: each leaves a little
#: behind in the library (a database handle; a thread when it was never paired).
_RETIRED_AFTER = 4
#: A process owns its only session so often, one time after the other, before a fresh one does.
_MAX_REACQUISITIONS = 8
#: Exit code of a process that a fresh one is to follow.
FENCED = 70
#: Sessions that start at once: what they do then is work for the processor.
_STARTS_AT_ONCE = 8
#: How long a thread keeps Python's lock from others, seconds. With the usual 5 ms a hundred busy
#: threads would keep it from the loop for half a second, and leases are renewed there.
_SWITCH_SECONDS = 0.0005

#: Which of a session's turns a call waits for; empty: for none.
Turn: TypeAlias = Literal["", "calls", "sends"]


class Assigned:
    """What a process has to run: one session (`session_id`), or those of a shared host."""

    def __init__(self, *, host: int = 0, capacity: int = 1, session_id: int = 0) -> None:
        self.host = host
        self.capacity = capacity
        self.session_id = session_id

    @property
    def alone(self) -> bool:
        """One session, whose process ends with it and is started again by Ray."""
        return not self.host

    async def poll(self, stores: Stores) -> frozenset[int]:
        """Ids of the sessions that are to run. Raises `Unavailable`."""
        if self.host:
            wanted = await stores.hosts.sessions_of(self.host)
            if wanted is None:
                log.warning("host.is_no_more", host=self.host)
            return wanted or frozenset()
        try:
            record = await stores.sessions.get_by_id(self.session_id)
        except SessionNotFound:
            return frozenset()
        failed = record.status is SessionStatus.FAILED
        wanted_to = record.desired is DesiredState.RUNNING and not failed
        return frozenset({self.session_id}) if wanted_to else frozenset()


class SessionHost:
    """Hosts the sessions that are assigned to it, for as long as the process lives."""

    def __init__(
        self,
        *,
        assigned: Assigned,
        node: str,
        settings: Settings,
        client_factory: Callable[[Settings], ClientFactory],
        hand_over: Callable[[int, int, list[bytes]], Coroutine[Any, Any, bool]] | None = None,
        move_away: Callable[[int, bool, int], Awaitable[bool]] | None = None,
        whatsapp_unreachable: Callable[[], None] | None = None,
        dead_man: Switch | None = None,
    ) -> None:
        """`hand_over(session, host, entries)`: gives what a fenced session received to the shared
        host that has it by now; without one, to the newer incarnation of this actor. `move_away`:
        see `actors.hosts.relocation.ask_to_move`; `whatsapp_unreachable`: see `Session`."""
        self._assigned = assigned
        self._capacity = capacity = assigned.capacity
        self._node = node
        settings.stores = settings.stores.model_copy(
            update={"database_pool_max": settings.stores.connections_of_host(capacity)}
        )
        self._settings = settings
        self._make_factory = client_factory
        self._factory: ClientFactory | None = None
        self._dead_man = SharedDeadMan(dead_man or DeadMan())
        self._hand_over = hand_over
        self._move_away = move_away
        self._whatsapp_unreachable = whatsapp_unreachable
        self._slots: dict[int, Slot] = {}
        #: Those that this process released, to reacquire them, and the epochs that it had.
        self._reacquiring: dict[int, int] = {}
        self._acquired = self._ended = 0
        #: The one that ended last.
        self._last: Session | None = None
        self._stores: Stores | None = None
        self._vitals: asyncio.Task[None] | None = None
        self._woken = asyncio.Event()
        self._closing = self._retired_reported = False
        self._asked = time.monotonic()
        self._waits_for = "the session is being started"
        self._starting = asyncio.Semaphore(_STARTS_AT_ONCE)
        self._disk = FullDisk(settings.data_dir, settings.spool.min_free_bytes)
        if capacity > 1:
            sys.setswitchinterval(_SWITCH_SECONDS)
        if assigned.alone:
            tick_apart()
        # As Ray's own loops are; asyncio's takes a tenth more of the process's time.
        loop = uvloop.new_event_loop()
        loop.set_default_executor(ThreadPoolExecutor(threads(capacity), thread_name_prefix="wa"))
        #: Where all of it runs.
        self.loop = LoopThread("sessions-loop", loop)
        self.loop.live_by(self._run, "host.crashed", host=assigned.host)

    # -- from outside ---------------------------------------------------------------------------

    def describe(self) -> dict[str, Any]:
        """For logs and the dashboard; safe from any thread."""
        sessions = [slot.session for slot in list(self._slots.values())]
        if self._assigned.alone:
            only = sessions[0] if sessions else self._last
            if only is not None:
                return only.describe()
            return {"session_id": self._assigned.session_id, "status": "STARTING", "epoch": 0}
        return {
            "host": self._assigned.host,
            "node": self._node,
            "capacity": self._capacity,
            "sessions": len(sessions),
            "statuses": dict(Counter(s.status.value if s else "STARTING" for s in sessions)),
            "ended": self._ended,
        }

    @property
    def session(self) -> Session:
        """The only session. Raises `Unavailable` until it is admitted, and after."""
        return self._slot(self._assigned.session_id).running

    # -- in the sessions' loop --------------------------------------------------------------------

    async def call(
        self,
        session_id: int,
        work: Callable[[Session], Coroutine[Any, Any, T]],
        *,
        turn: Turn = "",
    ) -> T:
        """Do something with a session; 0: the only one. `turn`: wait for one of its turns.

        Raises `NotOwner` when it is not here, `Unavailable` while it is being started.
        """
        slot = self._slot(session_id)
        match turn:
            case "calls":
                turns = slot.calls
            case "sends":
                turns = slot.sends
            case _:
                return await work(slot.running)
        async with turns:
            return await work(slot.running)

    async def stop(self, session_id: int) -> None:
        """End a session cleanly; returns when its ownership is released, at once without it."""
        if self._assigned.alone:
            # Whoever stops it makes another process, here or elsewhere, when it is to run again.
            self._closing = True
            session_id = self._assigned.session_id
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

    async def wake(self) -> None:
        """Look now what is to run here."""
        self._woken.set()

    def _slot(self, session_id: int) -> Slot:
        alone = self._assigned.alone
        slot = self._slots.get(session_id or self._assigned.session_id)
        if slot is None:
            self._woken.set()
            if alone:
                raise Unavailable(self._waits_for, retry_after=1)
            raise NotOwner("the session is not in this process", retry_after=1)
        return slot

    async def _run(self) -> None:
        stores = await self._open()
        self._vitals = asyncio.create_task(
            endless("vitals", lambda: publish_vitals(stores.cache, lambda: self._slots))
        )
        while True:
            well = await self._poll(stores)
            with suppress(TimeoutError):
                async with asyncio.timeout(_POLL_WELL if well else _POLL_SECONDS):
                    await self._woken.wait()
            self._woken.clear()

    async def _open(self) -> Stores:
        stores = await retry_until_available(
            lambda: Stores.open(self._settings, plan_once=True),
            "host.stores_unreachable",
            pauses=(_AGAIN, _AGAIN),
            on_unavailable=self._stores_unreachable,
        )
        if not self._assigned.alone:
            stores.ownership = BatchedOwnership(stores.db)
        self._stores = stores
        self._factory = self._make_factory(self._settings)
        return stores

    async def _stores_unreachable(self, _: Unavailable) -> None:
        """A node that alone does not reach PostgreSQL asks for the session to be moved; those of a
        shared host are moved by the supervisor, who does not hear of it."""
        if self._assigned.alone and time.monotonic() - self._asked > _ASK:
            await self._moves(self._assigned.session_id, True, 0)
            self._asked = time.monotonic()

    async def _poll(self, stores: Stores) -> bool:
        """Begin and end what is not as it should be; True when all is."""
        if self._assigned.alone and self._slots:
            # A session that has its process for itself is looked at when it has ended.
            return True
        try:
            wanted = await self._assigned.poll(stores)
            if self._retired and not self._retired_reported:
                await stores.hosts.retire(self._assigned.host)
                self._retired_reported = True
        except Unavailable as error:
            log.warning("host.stores_unreachable", error=error.detail)
            await self._stores_unreachable(error)
            return False
        for session_id, slot in self._slots.items():
            if session_id not in wanted:
                slot.stop()
        if self._closing:
            return True
        if self._assigned.alone and self._acquired and wanted and not self._reacquiring:
            # The library leaves threads behind (pairing that timed out, for one).
            self._exit(FENCED, "host.is_wanted_again")
        for session_id in wanted - self._slots.keys():
            self._begin(session_id, stores)
        return wanted == self._slots.keys() and (bool(wanted) or not self._assigned.alone)

    def _begin(self, session_id: int, stores: Stores) -> None:
        assert self._factory is not None  # noqa: S101 - made with the stores
        self._acquired += 1
        slot = Slot(
            session_id=session_id,
            node=self._node,
            stores=stores,
            settings=self._settings,
            client_factory=self._factory,
            switch=self._dead_man.switch(),
            hand_over=partial(self._hand_over_received, session_id),
            move_away=partial(self._moves, session_id),
            whatsapp_unreachable=self._whatsapp_unreachable,
            starting=self._starting,
            disk=self._disk,
            alone=self._assigned.alone,
            owned_before=self._reacquiring.pop(session_id, 0),
        )
        self._slots[session_id] = slot
        slot.done.add_done_callback(lambda done: self._left(session_id, done.result()))

    def _left(self, session_id: int, after: After) -> None:
        slot = self._slots.pop(session_id)
        self._ended += slot.session is not None
        self._last = slot.session or self._last
        if slot.session is not None and slot.session.may_connect:
            self._exit(CRASHED, "host.client_may_connect", session_id=session_id)
        if after is After.REACQUIRE:
            self._reacquiring[session_id] = slot.session.epoch if slot.session else 0
            self._waits_for = "PostgreSQL was not reached in time"
        if self._assigned.alone:
            if after is After.UNFIT or (
                after is After.REACQUIRE and self._acquired >= _MAX_REACQUISITIONS
            ):
                self._exit(FENCED, "host.exits", session_id=session_id)
            elif after is After.GONE and slot.session is None:
                # It was not to begin: the same process may.
                self._acquired = 0
        if after is After.REACQUIRE:
            log.warning("host.reacquires", session_id=session_id)
        # Whether it is to run here again; it may have ended by itself.
        asyncio.get_running_loop().call_later(
            0.0 if after is After.REACQUIRE else _POLL_SECONDS, self._woken.set
        )

    def _exit(self, code: int, why: str, **facts: Any) -> None:
        log.warning(why, host=self._assigned.host, **facts)
        self._closing = True
        os._exit(code)

    async def _moves(self, session_id: int, cut_off: bool, closed: int) -> bool:
        return self._move_away is not None and await self._move_away(session_id, cut_off, closed)

    async def _hand_over_received(self, session_id: int, entries: list[bytes]) -> bool:
        """False: it stays in the spool, for the session's next owner on this node."""
        if self._hand_over is None or self._stores is None:
            return False
        newer = 0
        if not self._assigned.alone:
            try:
                found = await self._stores.hosts.of(session_id)
            except GatewayError as error:
                log.warning("host.not_handed_over", entries=len(entries), error=error.detail)
                return False
            if found is None or not found.shared or found.id == self._assigned.host:
                return False
            newer = found.id
        return await self._hand_over(session_id, newer, entries)

    @property
    def _retired(self) -> bool:
        return (
            not self._assigned.alone
            and self._ended >= self._capacity * _RETIRED_AFTER + _SPARE_THREADS // 2
        )


def threads(capacity: int) -> int:
    """So many that sessions whose every call hangs leave their neighbours theirs."""
    return capacity * (1 + CALLS) + _SPARE_THREADS
