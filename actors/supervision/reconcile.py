"""Brings every session to its desired state: starts, stops, moves and ends their actors.

Truth is in PostgreSQL; nothing is kept here that could not be looked up again.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from functools import partial

import structlog

from actors.supervision.beside import Beside
from actors.supervision.pace import Pace
from actors.supervision.session_actors import Pulse, SessionActors
from actors.supervision.stopped import say_stopped
from actors.supervision.suspects import Suspects, is_ownerless
from cluster.domain.errors import SessionNotFound, Unavailable
from cluster.domain.session import DesiredState, SessionRecord, SessionStatus
from cluster.settings import Settings
from cluster.stores import Stores
from cluster.stores.starts import Start
from cluster.stores.workers import Worker

__all__ = ["Reconciler"]

log = structlog.get_logger(__name__)

#: Seconds a clean stop may take before the actor is killed (its lease then runs out).
_STOP_PATIENCE = 30.0
#: Seconds a process has to answer when it is suspected.
_PULSE_PATIENCE = 3.0
_AT_ONCE = 20
#: A tick waits so long for the stops that it began, seconds.
_SETTLE = 1.0
#: A wait for a session on its new node looks this often, seconds.
_LOOK = 0.2


class Reconciler:
    """One of them works at a time, usually; two do no harm, because epochs fence owners."""

    def __init__(self, stores: Stores, actors: SessionActors, settings: Settings) -> None:
        self._stores = stores
        self._actors = actors
        self._limits = settings.supervisor
        self._every = settings.placement.reconcile_seconds
        self._per_tick = max(1, round(settings.placement.starts_per_second * self._every))
        self._pace = Pace(settings.placement.starts_per_second)
        self._suspects = Suspects(settings.supervisor)
        #: When PostgreSQL was last found away from here; monotonic.
        self._away_at = float("-inf")
        lease = settings.lease
        self._lease_seconds = lease.ttl_seconds
        #: What is left of a lease that was renewed within the last two turns, seconds.
        self._fresh = lease.ttl_seconds - 2 * lease.renew_seconds
        self._locks: dict[int, asyncio.Lock] = {}
        self._ending = Beside("stops", _AT_ONCE)
        self.paused = False

    # -- asked for ------------------------------------------------------------------------------

    @property
    def stores(self) -> Stores:
        return self._stores

    async def start(self, session_id: int) -> None:
        """See to it now that the session's actor exists."""
        if self.paused:
            raise Unavailable("the cluster is going down", retry_after=10)
        async with self._lock(session_id):
            record = await self._stores.sessions.get_by_id(session_id)
            if record.desired is DesiredState.RUNNING:
                await self._actors.create(record, await self._drained())
                log.info("supervisor.started", session=record.name)

    async def stop(self, session_id: int) -> None:
        """End the session's actor cleanly; returns when its ownership is released."""
        async with self._lock(session_id):
            record = await self._stores.sessions.get_by_id(session_id)
            await self._actors.stop(record, _STOP_PATIENCE)
            await say_stopped(self._stores, record)
            log.info("supervisor.stopped", session=record.name)

    async def move(self, session_id: int, node: str, *, cut_off: bool) -> bool:
        """The session's process on `node` cannot work there: have another one elsewhere. `cut_off`:
        it does not reach PostgreSQL.

        False: it is to go on by itself, because other sessions of its node do reach PostgreSQL, the
        supervisor did not a moment ago, or there is no other node. Raises `Unavailable`
        when PostgreSQL is away from here as well."""
        # After an outage for everybody all leases have lapsed; each process goes on where it is.
        if self.paused or (cut_off and time.monotonic() - self._away_at < 2 * self._lease_seconds):
            return False
        async with self._lock(session_id):
            record = await self._stores.sessions.get_by_id(session_id)
            workers = await self._stores.workers.list()
            others = [w for w in workers if w.node != node]
            if not _wanted(record) or not _room(others):
                return False
            starts = await self._stores.starts.list()
            # Of a node that is cut off no lease was renewed for as long as this one's was not.
            if cut_off and any(
                s.owner_node == node and s.session_id != session_id and -s.lapsed > self._fresh
                for s in starts
            ):
                return False
            mine = next((s for s in starts if s.session_id == session_id), None)
            if mine is None or (mine.owner_node != node and not mine.released and mine.lapsed < 0):
                return False
            log.warning("supervisor.moves", session=record.name, away_from=node)
            await self._actors.kill(record)
            await self._stores.starts.excuse(session_id)
            await self._actors.create(record, await self._drained() | {node})
        return True

    async def stop_all(self) -> int:
        """The cluster goes down: end all actors cleanly and start none. Desired states stay."""
        self.paused = True
        records = await self._stores.sessions.list(None)
        alive = await self._actors.names()
        mine = [record for record in records if record.actor_name in alive]
        gate = asyncio.Semaphore(_AT_ONCE)

        async def end(record: SessionRecord) -> None:
            async with gate, self._lock(record.id):
                await self._actors.stop(record, _STOP_PATIENCE)
                await self._stores.starts.excuse(record.id)

        await asyncio.gather(*(end(record) for record in mine))
        return len(mine)

    # -- by itself ------------------------------------------------------------------------------

    async def tick(self) -> None:
        """Look at everything once, and act on what is not as it should be."""
        if self.paused:
            return
        try:
            await self._look()
        except Unavailable:
            self._away_at = time.monotonic()
            raise

    async def _look(self) -> None:
        await self._stores.workers.replace(await self._actors.nodes())
        records = await self._stores.sessions.list(None)
        starts = {start.session_id: start for start in await self._stores.starts.list()}
        drained = await self._drained()
        alive = await self._actors.names()
        missing: list[SessionRecord] = []
        there: dict[int, SessionRecord] = {}
        unwanted: list[int] = []
        for record in records:
            if self._lock(record.id).locked():
                continue
            exists = record.actor_name in alive
            if not _wanted(record):
                if exists:
                    unwanted.append(record.id)
                elif record.status is not SessionStatus.STOPPED:
                    await say_stopped(self._stores, record)
            elif not exists:
                missing.append(record)
            else:
                there[record.id] = record
        await self._start_missing(missing)
        # Those that hang have half a minute each: that is nobody else's.
        for session_id in unwanted:
            self._ending.begin(session_id, partial(self.stop, session_id))
        await self._ending.settle(_SETTLE)
        await self._unpark(there, starts, drained)
        await self._end_hung(there, starts)
        await self._actors.forget_others({record.id for record in records})

    async def _start_missing(self, missing: list[SessionRecord]) -> None:
        # A tick's share of them, so that the rest of the tick is not held up by a mass recovery.
        for record in random.sample(missing, min(len(missing), self._per_tick)):
            await self._pace.turn()
            await self.start(record.id)

    async def _unpark(
        self, there: dict[int, SessionRecord], starts: dict[int, Start], drained: frozenset[str]
    ) -> None:
        """Ray restarted them on a node that was drained since they were created."""
        for session_id, record in there.items():
            start = starts.get(session_id)
            if start is not None and start.parked_on in drained:
                log.info("supervisor.unparks", session=record.name, node=start.parked_on)
                await self._replace(record)

    async def _end_hung(self, there: dict[int, SessionRecord], starts: dict[int, Start]) -> None:
        ownerless = {i for i in there if i in starts and is_ownerless(starts[i])}
        asked = self._suspects.watch(ownerless)
        if not asked:
            return
        open_nodes = {w.node for w in await self._stores.workers.list() if not w.drained}
        gate = asyncio.Semaphore(_AT_ONCE)

        async def ask(session_id: int) -> None:
            record = there[session_id]
            async with gate:
                pulse = await self._actors.pulse(record, _PULSE_PATIENCE, open_nodes)
            if self._suspects.judge(session_id, pulse):
                log.error("supervisor.hung", session=record.name, pulse=pulse.value)
                self._suspects.forget(session_id)
                await self._replace(record, excused=pulse is Pulse.BARRED)

        await asyncio.gather(*(ask(session_id) for session_id in asked))

    async def _replace(self, record: SessionRecord, *, excused: bool = True) -> None:
        """A new actor in the place of one that owns nothing."""
        async with self._lock(record.id):
            await self._actors.kill(record)
            if excused:
                await self._stores.starts.excuse(record.id)
            await self._actors.create(record, await self._drained())

    # -- drain ----------------------------------------------------------------------------------

    async def drain_tick(self) -> None:
        """Hand over what drained nodes own, one session after the other."""
        if self.paused:
            return
        tried: set[int] = set()
        while not self.paused and (session_id := await self._to_hand_over(tried)) is not None:
            if not _room(await self._stores.workers.list()):
                log.warning("drain.no_room")
                return
            tried.add(session_id)
            await self._hand_over(session_id)

    async def _to_hand_over(self, tried: set[int]) -> int | None:
        """The next one with a living owner on a drained node. Looked up each time: a handover takes
        seconds, and meanwhile sessions move by themselves and drains are taken back."""
        drained = await self._drained()
        if not drained:
            return None
        for start in await self._stores.starts.list():
            owned = not start.released and start.lapsed <= 0
            if owned and start.owner_node in drained and start.session_id not in tried:
                return start.session_id
        return None

    async def _hand_over(self, session_id: int) -> None:
        async with self._lock(session_id):
            try:
                record = await self._stores.sessions.get_by_id(session_id)
            except SessionNotFound:
                return
            if not _wanted(record):
                return
            log.info("drain.hands_over", session=record.name, node=record.node)
            clean = await self._actors.stop(record, _STOP_PATIENCE)
            await self._stores.starts.excuse(session_id)
            await self._actors.create(record, await self._drained())
        arrived = await self._until(lambda: self._arrived(session_id, record))
        log.info("drain.handed_over", session=record.name, clean=clean, arrived=arrived)

    async def _arrived(self, session_id: int, before: SessionRecord) -> bool:
        try:
            now = await self._stores.sessions.get_by_id(session_id)
        except SessionNotFound:
            return True
        moving = now.status is SessionStatus.STARTING or now.epoch == before.epoch
        return not (_wanted(now) and moving)

    async def _until(self, done: Callable[[], Awaitable[bool]]) -> bool:
        deadline = asyncio.get_running_loop().time() + self._limits.handover_seconds
        while asyncio.get_running_loop().time() < deadline:
            if await done():
                return True
            await asyncio.sleep(_LOOK)
        return False

    async def _drained(self) -> frozenset[str]:
        """Ids of the nodes, as far as they are alive, that take no sessions."""
        return frozenset(w.node for w in await self._stores.workers.list() if w.drained)

    def _lock(self, session_id: int) -> asyncio.Lock:
        return self._locks.setdefault(session_id, asyncio.Lock())


def _wanted(record: SessionRecord) -> bool:
    return record.desired is DesiredState.RUNNING and record.status is not SessionStatus.FAILED


def _room(workers: list[Worker]) -> bool:
    open_nodes = [w for w in workers if not w.drained]
    return sum(w.slots for w in open_nodes) > sum(w.sessions for w in open_nodes)
