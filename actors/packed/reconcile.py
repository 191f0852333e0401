"""Brings every session to its desired state where sessions share processes.

Truth is in PostgreSQL: what each session is to be, which packs there are, and which session lives
in which. A pack starts and ends by itself what is assigned to it; here is decided what that is,
and that the packs' processes are there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial

import structlog

from actors.packed.packs import PackActors
from actors.packed.planner import Cluster, Move, Node, PackLoad
from actors.packed.together import Together
from actors.supervision.beside import Beside
from actors.supervision.pace import Pace
from actors.supervision.session_actors import SessionActors
from actors.supervision.stopped import say_stopped
from cluster.domain.errors import SessionNotFound, Unavailable
from cluster.domain.session import DesiredState, SessionRecord, SessionStatus, pack_name
from cluster.settings import Settings
from cluster.stores import Stores
from cluster.stores.packs import Pack

__all__ = ["PackReconciler"]

log = structlog.get_logger(__name__)

#: Seconds a clean stop of a session may take until its place is given up.
_STOP_PATIENCE = 30.0
#: Seconds that a process has to answer when it is suspected.
_PULSE_PATIENCE = 3.0
#: Sessions that are stopped at once; a tick waits so long for them, seconds.
_STOPS_AT_ONCE, _SETTLE = 20, 1.0
#: A pack that was not heard of for so long, on a node that is gone, is lost; seconds.
_LOST = 2.5
#: A node that sessions had to leave, because of its disk or its network, gets none for so long.
_SHUNNED = 30.0
#: A pack without sessions is ended after so long; seconds.
_IDLE = 60.0
#: Sessions that move at once, and before all is looked at again.
_MOVES_AT_ONCE, _MOVES = 4, 12
_LOOK = 0.2


@dataclass(frozen=True, kw_only=True, slots=True)
class _View:
    """The cluster at one moment."""

    nodes: list[Node]
    packs: dict[int, Pack]
    #: session → pack
    places: dict[int, int]

    def cluster(self, settings: Settings) -> Cluster:
        held: dict[int, set[int]] = {pack: set() for pack in self.packs}
        for session, pack in self.places.items():
            held.get(pack, set()).add(session)
        return Cluster(
            self.nodes,
            (
                PackLoad(
                    id=pack.id,
                    node=pack.node,
                    capacity=pack.capacity,
                    worn=pack.worn,
                    sessions=held[pack.id],
                )
                for pack in self.packs.values()
            ),
            sessions_per_actor=settings.placement.sessions_per_actor,
        )


class PackReconciler:
    """One of them works at a time, usually; two do no harm, because epochs fence owners."""

    def __init__(
        self, stores: Stores, nodes: SessionActors, packs: PackActors, settings: Settings
    ) -> None:
        """`nodes`: asked for nodes and names; sessions have no actors of their own here."""
        self._stores = stores
        self._ray = nodes
        self._packs = packs
        self._settings = settings
        self._limits = settings.supervisor
        self._pace = Pace(settings.placement.moves_per_second)
        #: What is left of a lease that was renewed within the last two turns, seconds.
        self._fresh = settings.lease.ttl_seconds - 2 * settings.lease.renew_seconds
        self._locks: dict[int, asyncio.Lock] = {}
        self._ending = Beside("stops", _STOPS_AT_ONCE)
        self._assigning = asyncio.Lock()
        #: Many are started at once, and each plan is made from all there is.
        self._places = Together(self._assign)
        #: pack → since when (monotonic) it is empty, and not heard of
        self._empty: dict[int, float] = {}
        self._silent: dict[int, float] = {}
        #: node → until when (monotonic) it gets no session
        self._shunned: dict[str, float] = {}
        self.paused = False

    @property
    def stores(self) -> Stores:
        return self._stores

    # -- asked for ------------------------------------------------------------------------------

    async def start(self, session_id: int) -> None:
        """See to it now that the session has a place."""
        if self.paused:
            raise Unavailable("the cluster is going down", retry_after=10)
        async with self._lock(session_id):
            record = await self._stores.sessions.get_by_id(session_id)
            if not _wanted(record):
                return
            if record.pack:
                await self._packs.poke(record.pack)
                return
            await self._places.do(session_id)
            log.info("supervisor.started", session=record.name)

    async def stop(self, session_id: int) -> None:
        """End the session cleanly; returns when its ownership is released. Its place is free."""
        async with self._lock(session_id):
            record = await self._stores.sessions.get_by_id(session_id)
            if record.pack:
                await self._packs.stop(record.pack, session_id, _STOP_PATIENCE)
                await self._stores.packs.unassign([session_id])
            await say_stopped(self._stores, record)
            log.info("supervisor.stopped", session=record.name)

    async def stop_all(self) -> int:
        """The cluster goes down: end all packs cleanly and make none. Desired states stay."""
        self.paused = True
        places = await self._stores.packs.places()
        packs = await self._stores.packs.list()

        async def end(pack: Pack) -> None:
            await self._packs.stop_all(pack.id, _STOP_PATIENCE)
            await self._end(pack.id)

        await asyncio.gather(*(end(pack) for pack in packs))
        for session_id in places:
            await self._stores.starts.excuse(session_id)
        return len(places)

    async def move(self, session_id: int, node: str, *, cut_off: bool) -> bool:
        """See `Reconciler.move`."""
        if self.paused:
            return False
        async with self._lock(session_id):
            record = await self._stores.sessions.get_by_id(session_id)
            if not _wanted(record):
                return False
            starts = await self._stores.starts.list()
            # Of a node that is cut off no lease is renewed; after an outage none at all is.
            fresh = {
                s.owner_node
                for s in starts
                if s.session_id != session_id and -s.lapsed > self._fresh
            }
            if cut_off and (node in fresh or not fresh):
                return False
            mine = next((s for s in starts if s.session_id == session_id), None)
            if mine is None or (mine.owner_node != node and not mine.released and mine.lapsed < 0):
                return False
            self._shunned[node] = time.monotonic() + _SHUNNED
            if not await self._assign([session_id], off=node):
                return False
            log.warning("supervisor.moves", session=record.name, away_from=node)
            await self._stores.starts.excuse(session_id)
        return True

    # -- by itself ------------------------------------------------------------------------------

    async def tick(self) -> None:
        """Look at everything once, and act on what is not as it should be."""
        if self.paused:
            return
        await self._stores.workers.replace(await self._ray.nodes())
        names = await self._ray.names()
        await self._end_own_actors(names)
        records = {r.id: r for r in await self._stores.sessions.list(None)}
        view = await self._view()
        await self._end_lost(view, names)
        view = await self._view()
        missing = [
            r.id
            for r in records.values()
            if _wanted(r) and r.id not in view.places and not self._lock(r.id).locked()
        ]
        if missing:
            await self._assign(missing)
        await self._release(records, view)
        await self._end_empty(await self._view())

    async def drain_tick(self) -> None:
        """Move what lives where it should not, and what makes nodes uneven; at a pace."""
        if self.paused:
            return
        view = await self._view()
        moves = view.cluster(self._settings).leaving()
        if not moves and self._settings.placement.rebalance and not self._shunned_now():
            moves = view.cluster(self._settings).uneven(await self._settled())
            if moves:
                log.info("supervisor.rebalances", sessions=len(moves))
        gate = asyncio.Semaphore(_MOVES_AT_ONCE)

        async def one(move: Move) -> None:
            async with gate:
                await self._pace.turn()
                if not self.paused:
                    await self._move(move)

        await asyncio.gather(*(one(move) for move in moves[:_MOVES]))

    async def _assign(
        self, sessions: Iterable[int], avoid: dict[int, int] | None = None, off: str = ""
    ) -> bool:
        """Give those a place that have none; with `off` also those that have theirs on that node.
        False when there is no room for all."""
        async with self._assigning:
            view = await self._view()
            there = {pack.id for pack in view.packs.values() if pack.node == off}
            homeless = [
                session
                for session in sessions
                if session not in view.places or view.places[session] in there
            ]
            shunned = {off} | self._shunned_now()
            plan = view.cluster(self._settings).place(homeless, avoid=avoid, off=shunned)
            places = {s: pack for pack, sessions in plan.places.items() for s in sessions}
            fresh: list[tuple[int, str, int]] = []
            for new, sessions in plan.new:
                pack = await self._stores.packs.make(new.node, new.capacity)
                fresh.append((pack, new.node, new.capacity))
                places |= dict.fromkeys(sessions, pack)
            if leaving := [s for s in places if s in view.places]:
                await self._stores.packs.unassign(leaving)
            await self._stores.packs.assign(places)
            for pack, node, capacity in fresh:
                log.info("supervisor.makes_pack", pack=pack, node=node, capacity=capacity)
                await self._packs.create(pack, node, capacity)
            for pack in plan.places:
                await self._packs.poke(pack)
        if plan.left:
            log.warning("supervisor.no_room", sessions=len(plan.left))
        return not plan.left

    def _shunned_now(self) -> set[str]:
        now = time.monotonic()
        self._shunned = {node: until for node, until in self._shunned.items() if until > now}
        return set(self._shunned)

    async def _release(self, records: dict[int, SessionRecord], view: _View) -> None:
        """Sessions that are not to run (any more) leave their places; their packs end them."""
        for session_id, pack in view.places.items():
            record = records.get(session_id)
            if record is not None and not _wanted(record) and not self._lock(session_id).locked():
                self._ending.begin(session_id, partial(self._leave, session_id, pack))
        # Those that hang have half a minute each: that is nobody else's.
        await self._ending.settle(_SETTLE)
        for record in records.values():
            stopped = record.status is SessionStatus.STOPPED
            if not stopped and record.id not in view.places:
                await say_stopped(self._stores, record)

    async def _leave(self, session_id: int, pack: int) -> None:
        async with self._lock(session_id):
            record = await self._stores.sessions.get_by_id(session_id)
            if record.pack == pack and not _wanted(record):
                await self._packs.stop(pack, session_id, _STOP_PATIENCE)
                await self._stores.packs.unassign([session_id])

    # -- processes ------------------------------------------------------------------------------

    async def _end_lost(self, view: _View, names: set[str]) -> None:
        alive = {node.id for node in view.nodes}
        silent = {}
        now = time.monotonic()
        for pack in view.packs.values():
            if pack.node not in alive:
                # Heard of until now: its node is only not known to Ray at the moment.
                if pack.silent > _LOST:
                    log.warning("supervisor.pack_lost", pack=pack.id, node=pack.node)
                    await self._end(pack.id)
                continue
            if pack_name(pack.id) not in names:
                await self._packs.create(pack.id, pack.node, pack.capacity)
            if pack.silent > self._limits.unresponsive_seconds / 3:
                # By our own clock: after PostgreSQL was away all of them seem silent.
                silent[pack.id] = self._silent.get(pack.id, now)
        self._silent = silent
        for pack_id, since in silent.items():
            if now - since >= self._limits.unresponsive_seconds and not await self._packs.answers(
                pack_id, _PULSE_PATIENCE
            ):
                log.error("supervisor.pack_hung", pack=pack_id)
                await self._end(pack_id)

    async def _end_empty(self, view: _View) -> None:
        """Packs without sessions give back their slots, after a while."""
        now = time.monotonic()
        empty = view.cluster(self._settings).empty()
        self._empty = {pack: self._empty.get(pack, now) for pack in empty}
        for pack, since in self._empty.items():
            patience = 0.0 if view.packs[pack].worn else _IDLE
            if now - since >= patience:
                async with self._assigning:
                    if pack not in (await self._stores.packs.places()).values():
                        log.info("supervisor.ends_empty_pack", pack=pack)
                        await self._end(pack)

    async def _end(self, pack: int) -> None:
        await self._stores.packs.remove(pack)
        await self._packs.kill(pack)

    async def _end_own_actors(self, names: set[str]) -> None:
        """Left from a time when each session had an actor of its own."""
        if any(name.startswith("session:") for name in names):
            for record in await self._stores.sessions.list(None):
                if f"session:{record.tenant}:{record.name}" in names:
                    await self._ray.stop(replace(record, pack=0), _STOP_PATIENCE)

    # -- moves ----------------------------------------------------------------------------------

    async def _move(self, move: Move) -> None:
        """Cleanly: the old owner lets go before the new one begins, so nothing is forgotten."""
        session_id = move.session
        async with self._lock(session_id):
            try:
                record = await self._stores.sessions.get_by_id(session_id)
            except SessionNotFound:
                return
            if record.pack != move.pack or not _wanted(record):
                return
            view = await self._view()
            cluster, avoid = view.cluster(self._settings), {session_id: move.pack}
            if cluster.place([session_id], avoid=avoid, off=self._shunned_now()).left:
                log.warning("drain.no_room", session=record.name)
                return
            # From now on nobody starts it, until it is assigned.
            await self._stores.packs.unassign([session_id])
            clean = await self._packs.stop(move.pack, session_id, _STOP_PATIENCE)
            await self._stores.starts.excuse(session_id)
            await self._assign([session_id], avoid=avoid)
        arrived = await self._until(lambda: self._arrived(session_id, record))
        log.info("supervisor.moved", session=record.name, clean=clean, arrived=arrived)

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

    async def _settled(self) -> frozenset[int]:
        """Sessions that work: the others have trouble enough."""
        records = await self._stores.sessions.list(None)
        return frozenset(r.id for r in records if r.status is SessionStatus.WORKING)

    async def _view(self) -> _View:
        workers = await self._stores.workers.list()
        return _View(
            nodes=[Node(id=w.node, slots=w.slots, open=not w.drained) for w in workers],
            packs={pack.id: pack for pack in await self._stores.packs.list()},
            places=await self._stores.packs.places(),
        )

    def _lock(self, session_id: int) -> asyncio.Lock:
        return self._locks.setdefault(session_id, asyncio.Lock())


def _wanted(record: SessionRecord) -> bool:
    return record.desired is DesiredState.RUNNING and record.status is not SessionStatus.FAILED
