"""Brings every session to its desired state: finds each a host, moves them, and ends hosts.

Truth is in PostgreSQL: what each session is to be, which hosts there are, and which session lives
in which. A host starts and ends by itself what is assigned to it; here is decided what that is,
and that the hosts' processes are there. Nothing is kept here that could not be looked up again.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial

import structlog

from actors.hosts.create_actor import HostActor
from actors.supervisor.beside import Beside
from actors.supervisor.coalescer import Coalescer
from actors.supervisor.host_actors import HostActors, ProbeResult
from actors.supervisor.liveness import Liveness, is_ownerless
from actors.supervisor.pace import Pace
from actors.supervisor.planner import Cluster, HostLoad, Move, Node
from actors.supervisor.stopped import mark_stopped
from cluster.domain.errors import Conflict, SessionNotFound, Unavailable
from cluster.domain.session import DesiredState, SessionRecord, SessionStatus, host_name
from cluster.settings import Settings
from cluster.stores import Stores
from cluster.stores.hosts import Host
from cluster.stores.starts import Start

__all__ = ["Reconciler"]

log = structlog.get_logger(__name__)

#: Seconds a clean stop of a session may take until its place is given up (its lease then runs out).
_STOP_PATIENCE = 30.0
#: Seconds a process has to answer a probe.
_PROBE_SECONDS = 3.0
#: Stops and questions at once; a tick waits so long for the stops that it began, seconds.
_AT_ONCE, _SETTLE = 20, 1.0
#: A node that sessions had to leave, because of its disk or its network, gets none for so long.
_CORDON_SECONDS = 30.0
#: A shared host without sessions is ended after so long; seconds.
_IDLE = 60.0
#: Sessions that move at once, and before all is looked at again.
_MOVES_AT_ONCE, _MOVES = 4, 12
#: A wait for a session in its new place looks this often, seconds.
_POLL_SECONDS = 0.2
#: Actors of versions that called shared hosts so.
_FORMER = "pack:"


@dataclass(frozen=True, kw_only=True, slots=True)
class _View:
    """The cluster at one moment."""

    nodes: list[Node]
    #: Each where it is by now: one that Ray restarts by itself may be elsewhere than it was made.
    hosts: dict[int, Host]
    #: Session → host, and the other way round.
    places: dict[int, int]
    held: dict[int, set[int]]
    starts: dict[int, Start]

    def cluster(self, settings: Settings) -> Cluster:
        return Cluster(
            self.nodes,
            (
                HostLoad(
                    id=host.id,
                    node=host.node,
                    capacity=host.capacity,
                    retired=host.retired,
                    sessions=set(self.held[host.id]),
                )
                for host in self.hosts.values()
            ),
            sessions_per_actor=settings.placement.sessions_per_actor,
        )


class Reconciler:
    """One of them works at a time, usually; two do no harm, because epochs fence owners."""

    def __init__(self, stores: Stores, actors: HostActors, settings: Settings) -> None:
        self._stores = stores
        self._actors = actors
        self._settings = settings
        self._limits = settings.supervisor
        pace, every = settings.placement.pace, settings.placement.reconcile_seconds
        self._per_tick = max(1, round(pace * every))
        self._starts = Pace(pace)
        self._moves = Pace(settings.placement.moves_per_second)
        self._liveness = Liveness(settings.supervisor)
        #: When PostgreSQL was last found away from here; monotonic.
        self._unreachable_at = float("-inf")
        lease = settings.lease
        self._lease_seconds = lease.ttl_seconds
        #: What is left of a lease that was renewed within the last two turns, seconds.
        self._fresh = lease.ttl_seconds - 2 * lease.renew_seconds
        self._locks: dict[int, asyncio.Lock] = {}
        self._ending = Beside("stops", _AT_ONCE)
        self._assigning = asyncio.Lock()
        #: Many are started at once, and each plan is made from all there is.
        self._places = Coalescer(self._assign)
        #: Shared host → since when (monotonic) it is empty.
        self._empty: dict[int, float] = {}
        #: Node → until when (monotonic) it gets no session.
        self._cordoned: dict[str, float] = {}
        #: There is one node, and no host that is to become empty: nothing can be moved.
        self._settled = False
        #: And all is as it should be.
        self._quiet = False
        self.paused = False

    # -- asked for ------------------------------------------------------------------------------

    @property
    def stores(self) -> Stores:
        return self._stores

    @property
    def quiet(self) -> bool:
        """At the last look there was nothing to do, and no other node to lose or to move to."""
        return self._quiet

    async def start(self, session_id: int) -> None:
        """See to it now that the session has a host."""
        if self.paused:
            raise Unavailable("the cluster is going down", retry_after=10)
        async with self._lock(session_id):
            record = await self._stores.sessions.get_by_id(session_id)
            if not _wanted(record):
                return
            await self._places.do(session_id)
            await self._begin(session_id)
            log.info("supervisor.started", session=record.name)

    async def stop(self, session_id: int) -> None:
        """End the session cleanly; returns when its ownership is released. Its place is free."""
        async with self._lock(session_id):
            record = await self._stores.sessions.get_by_id(session_id)
            await self._end_session(record)
            log.info("supervisor.stopped", session=record.name)

    async def move(self, session_id: int, node: str, *, cut_off: bool, closed: int = 0) -> bool:
        """The session cannot go on on `node`: have it elsewhere. `cut_off`: the node does not reach
        PostgreSQL. `closed`: its owner's epoch, which has no connection and gets none; it cannot
        write that down itself. 0: it may have.

        False: it is to go on by itself, because other sessions of its node do reach PostgreSQL, or
        nobody did a moment ago, or there is no other node. Raises `Unavailable` when PostgreSQL is
        away from here as well."""
        # After an outage for everybody all leases have lapsed; each process goes on where it is.
        outage = time.monotonic() - self._unreachable_at < 2 * self._lease_seconds
        if self.paused or (cut_off and outage):
            return False
        async with self._lock(session_id):
            if closed:
                await self._stores.ownership.left(session_id, closed)
            record = await self._stores.sessions.get_by_id(session_id)
            view = await self._view()
            mine = view.starts.get(session_id)
            if not _wanted(record) or mine is None:
                return False
            if mine.owner_node != node and not mine.released and mine.lapsed < 0:
                return False
            if cut_off and not self._alone_cut_off(view, session_id, node):
                return False
            self._cordoned[node] = time.monotonic() + _CORDON_SECONDS
            cluster = view.cluster(self._settings)
            if cluster.place([session_id], off=self._cordoned_now()).left:
                return False
            log.warning("supervisor.moves", session=record.name, away_from=node)
            await self._replace(record, off=node)
        return True

    def _alone_cut_off(self, view: _View, session_id: int, node: str) -> bool:
        """Of a node that is cut off no lease is renewed, and elsewhere they are."""
        others = [s for s in view.starts.values() if s.session_id != session_id]
        fresh = {s.owner_node for s in others if -s.lapsed > self._fresh}
        elsewhere = [s for s in others if not s.released and s.owner_node != node]
        return node not in fresh and (bool(fresh) or not elsewhere)

    async def stop_all(self) -> int:
        """The cluster goes down: end all hosts cleanly and make none. Desired states stay."""
        self.paused = True
        view = await self._view()
        records = {r.id: r for r in await self._stores.sessions.list(None)}
        names = await self._actors.names()
        doomed = {self._name(host, view, records): host for host in view.hosts.values()}
        strays = {r.own_actor_name for r in records.values()} & names - doomed.keys()
        gate = asyncio.Semaphore(_AT_ONCE)

        async def end(name: str) -> None:
            async with gate:
                await self._actors.stop_all(name, _STOP_PATIENCE)
                await self._actors.kill(name)

        await asyncio.gather(*(end(name) for name in strays | doomed.keys() - {""}))
        for host in doomed.values():
            await self._stores.hosts.remove(host.id)
        for session_id in view.places:
            await self._stores.starts.forgive(session_id)
        return len(view.places)

    # -- by itself ------------------------------------------------------------------------------

    async def tick(self) -> None:
        """Look at everything once, and act on what is not as it should be."""
        self._quiet = False
        if self.paused:
            return
        try:
            await self._poll()
        except Unavailable:
            self._unreachable_at = time.monotonic()
            raise

    async def _poll(self) -> None:
        await self._stores.workers.replace(await self._actors.nodes())
        records = {r.id: r for r in await self._stores.sessions.list(None)}
        names = await self._actors.names()
        view = await self._view()
        if await self._end_lost(view, records, names):
            view = await self._view()
        await self._end_unwanted(view, records, names)
        if await self._place_missing(view, records):
            view = await self._view()
        await self._make_missing(view, records, names)
        # Those that hang have half a minute each: that is nobody else's.
        await self._ending.settle(_SETTLE)
        await self._unpark(view, records)
        await self._end_hung(view, records)
        await self._end_empty(view)
        self._settled = len(view.nodes) == 1 and not any(
            host.retired for host in view.hosts.values()
        )
        self._quiet = self._settled and _as_it_should_be(view, records)
        hosts = {host_name(host) for host in view.hosts}
        await self._actors.keep_only(hosts | {r.own_actor_name for r in records.values()})

    async def _end_lost(
        self, view: _View, records: dict[int, SessionRecord], names: set[str]
    ) -> bool:
        """Hosts whose node is gone, and that do not come back by themselves; True: there were."""
        for former in names:
            if former.startswith(_FORMER):
                await self._actors.kill(former)
        alive = {node.id for node in view.nodes}
        lost = False
        for host in view.hosts.values():
            starts = [view.starts[s] for s in view.held[host.id] if s in view.starts]
            # Heard of until now: its node is only not known to Ray at the moment.
            lives = any(-start.lapsed > self._fresh for start in starts)
            comes_back = not host.shared and self._name(host, view, records) in names
            if host.node not in alive and not lives and not comes_back:
                log.warning("supervisor.host_lost", host=host.id, node=host.node)
                await self._end_host(host, self._name(host, view, records))
                lost = True
        return lost

    async def _end_unwanted(
        self, view: _View, records: dict[int, SessionRecord], names: set[str]
    ) -> None:
        """Sessions that are not to run (any more) leave their places."""
        for record in records.values():
            if self._lock(record.id).locked():
                continue
            own = record.own_actor_name in names
            if _wanted(record):
                if own and record.host:
                    # From a time when each had an actor of its own.
                    self._ending.begin(record.id, partial(self._end_own, record))
            elif own or record.id in view.places:
                self._ending.begin(record.id, partial(self._leave, record.id))
            elif record.status is not SessionStatus.STOPPED:
                await mark_stopped(self._stores, record)

    async def _leave(self, session_id: int) -> None:
        async with self._lock(session_id):
            record = await self._stores.sessions.get_by_id(session_id)
            if not _wanted(record):
                await self._end_session(record)

    async def _end_own(self, record: SessionRecord) -> None:
        await self._actors.stop(record.own_actor_name, record.id, _STOP_PATIENCE)
        await self._actors.kill(record.own_actor_name)

    async def _place_missing(self, view: _View, records: dict[int, SessionRecord]) -> bool:
        """True: some were."""
        missing = [
            r.id
            for r in records.values()
            if _wanted(r) and r.id not in view.places and not self._lock(r.id).locked()
        ]
        if missing:
            await self._assign(missing)
        return bool(missing)

    async def _make_missing(
        self, view: _View, records: dict[int, SessionRecord], names: set[str]
    ) -> None:
        """Processes that are not there; a tick's share of them, so that the rest of the tick is not
        held up by a mass recovery."""
        missing = [
            host
            for host in view.hosts.values()
            if (name := self._name(host, view, records)) and name not in names
        ]
        for host in random.sample(missing, min(len(missing), self._per_tick)):
            session_id = min(view.held[host.id], default=0)
            if host.shared:
                await self._starts.turn()
                await self._create(host, None)
            elif not self._lock(session_id).locked():
                await self._starts.turn()
                async with self._lock(session_id):
                    if not self.paused and await self._still_there(session_id, host):
                        await self._begin(session_id)

    async def _still_there(self, session_id: int, host: Host) -> bool:
        """The session is (still) to run in this host."""
        try:
            record = await self._stores.sessions.get_by_id(session_id)
        except SessionNotFound:
            return False
        now = await self._stores.hosts.of(session_id)
        return _wanted(record) and now is not None and now.id == host.id

    async def _unpark(self, view: _View, records: dict[int, SessionRecord]) -> None:
        """Ray restarted them on a node that was drained since they were made."""
        closed = {node.id for node in view.nodes if not node.open}
        for session_id, place in view.places.items():
            start, record = view.starts.get(session_id), records.get(session_id)
            host = view.hosts[place]
            if start is None or start.held_on not in closed or record is None or host.shared:
                continue
            async with self._lock(session_id):
                if await self._still_there(session_id, host):
                    log.info("supervisor.unparks", session=record.name, node=host.node)
                    await self._replace(record)

    async def _end_hung(self, view: _View, records: dict[int, SessionRecord]) -> None:
        ownerless = {
            s
            for s in view.places
            if s in records
            and s in view.starts
            and is_ownerless(view.starts[s])
            and not self._lock(s).locked()
        }
        asked = self._liveness.watch(ownerless)
        if not asked:
            return
        open_nodes = {node.id for node in view.nodes if node.open}
        gate = asyncio.Semaphore(_AT_ONCE)
        probes: dict[int, ProbeResult] = {}

        async def ask(host: Host) -> None:
            async with gate:
                name = self._name(host, view, records)
                probes[host.id] = await self._actors.probe(name, _PROBE_SECONDS, open_nodes)

        hosts = {view.places[session] for session in asked}
        await asyncio.gather(*(ask(view.hosts[host]) for host in hosts))
        for session_id in asked:
            host = view.hosts[view.places[session_id]]
            probed, record = probes[host.id], records[session_id]
            if not self._liveness.judge(session_id, probed):
                continue
            log.error("supervisor.hung", session=record.name, host=host.id, probed=probed.value)
            self._liveness.forget(session_id)
            if host.shared and probed is ProbeResult.SILENT:
                await self._end_host(host, host_name(host.id))
                continue
            async with self._lock(session_id):
                if await self._still_there(session_id, host):
                    await self._replace(record, forgiven=probed is ProbeResult.BARRED)

    async def _end_empty(self, view: _View) -> None:
        """Hosts without sessions give back their slots, shared ones after a while."""
        now = time.monotonic()
        empty = [host for host in view.hosts.values() if not view.held[host.id]]
        self._empty = {host.id: self._empty.get(host.id, now) for host in empty}
        for host in empty:
            patience = _IDLE if host.shared and not host.retired else 0.0
            if now - self._empty[host.id] < patience:
                continue
            async with self._assigning:
                if host.id not in (await self._stores.hosts.assignments()).values():
                    log.info("supervisor.ends_empty_host", host=host.id)
                    await self._end_host(host, host_name(host.id) if host.shared else "")

    # -- moves ----------------------------------------------------------------------------------

    async def drain_tick(self) -> None:
        """Move what lives where it should not, and what makes nodes uneven; at a pace."""
        if self.paused or self._settled:
            return
        view = await self._view()
        cluster = view.cluster(self._settings)
        moves = cluster.evictions()
        if not moves and self._settings.placement.rebalance and not self._cordoned_now():
            # Those that do not work have trouble enough.
            if cluster.imbalance(view.places.keys()):
                moves = cluster.imbalance(await self._working())
            if moves:
                log.info("supervisor.rebalances", sessions=len(moves))
        gate = asyncio.Semaphore(_MOVES_AT_ONCE)

        async def one(move: Move) -> None:
            async with gate:
                await self._moves.turn()
                if not self.paused:
                    await self._move(move)

        await asyncio.gather(*(one(move) for move in moves[:_MOVES]))

    async def hand_over(self, session_id: int, node: str) -> None:
        """Somebody wants the session off `node`: cleanly, to another one. Nothing to do when it is
        not there. Raises `SessionNotFound`, and `Conflict` when it is not to run, or there is no
        room elsewhere."""
        record = await self._stores.sessions.get_by_id(session_id)
        if not _wanted(record):
            raise Conflict("the session is not running: start it, and it gets a node")
        view = await self._view()
        host = view.hosts.get(view.places.get(session_id, 0))
        if host is None or host.node != node:
            return
        off = self._cordoned_now() | {node}
        if view.cluster(self._settings).place([session_id], off=off).left:
            raise Conflict("no other node has room for it")
        await self._moves.turn()
        await self._move(Move(session=session_id, host=host.id), off=node)

    async def _move(self, move: Move, *, off: str = "") -> None:
        """Cleanly: the old owner lets go before the new one begins, so nothing is forgotten. `off`:
        a node that it shall not go to."""
        session_id = move.session
        async with self._lock(session_id):
            try:
                record = await self._stores.sessions.get_by_id(session_id)
            except SessionNotFound:
                return
            view = await self._view()
            if view.places.get(session_id) != move.host or not _wanted(record):
                return
            cluster, avoid = view.cluster(self._settings), {session_id: move.host}
            if cluster.place([session_id], avoid=avoid, off=self._cordoned_now() | {off}).left:
                log.warning("drain.no_room", session=record.name)
                return
            host, start = view.hosts[move.host], view.starts.get(session_id)
            owned = start is not None and not start.released and start.lapsed <= 0
            log.info("supervisor.hands_over", session=record.name, node=host.node)
            # From now on nobody starts it, until it is assigned.
            await self._stores.hosts.unassign([session_id])
            clean = True
            if owned or host.shared:
                clean = await self._actors.stop(record.actor_name, session_id, _STOP_PATIENCE)
            if not host.shared:
                await self._end_host(host, record.own_actor_name)
            await self._stores.starts.forgive(session_id)
            await self._assign([session_id], avoid=avoid, off=off)
            await self._begin(session_id)
        arrived = await self._until(lambda: self._arrived(session_id, record))
        log.info("supervisor.moved", session=record.name, clean=clean, arrived=arrived)

    async def _replace(
        self, record: SessionRecord, *, off: str = "", forgiven: bool = True
    ) -> None:
        """Another host for a session that gets nowhere in its own; not on the node `off`."""
        host = await self._stores.hosts.of(record.id)
        await self._stores.hosts.unassign([record.id])
        avoid = {}
        if host is not None and host.shared:
            avoid = {record.id: host.id}
            await self._actors.wake(host_name(host.id))
        else:
            await self._actors.kill(record.own_actor_name)
            if host is not None:
                await self._stores.hosts.remove(host.id)
        if forgiven:
            await self._stores.starts.forgive(record.id)
        await self._assign([record.id], avoid=avoid)
        await self._begin(record.id)

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
            await asyncio.sleep(_POLL_SECONDS)
        return False

    async def _working(self) -> frozenset[int]:
        records = await self._stores.sessions.list(None)
        return frozenset(r.id for r in records if r.status is SessionStatus.WORKING)

    # -- hosts ----------------------------------------------------------------------------------

    async def _assign(
        self, sessions: Iterable[int], *, avoid: dict[int, int] | None = None, off: str = ""
    ) -> None:
        """Give those a place that have none; hosts that run already are notified of theirs."""
        async with self._assigning:
            view = await self._view()
            homeless = [session for session in sessions if session not in view.places]
            plan = view.cluster(self._settings).place(
                homeless, avoid=avoid, off=self._cordoned_now() | {off}
            )
            places = {s: host for host, those in plan.places.items() for s in those}
            for new, those in plan.new:
                host = await self._stores.hosts.make(new.node, new.capacity)
                log.debug("supervisor.makes_host", host=host, node=new.node)
                places |= dict.fromkeys(those, host)
            if places:
                await self._stores.hosts.assign(places)
        for host in plan.places:
            await self._actors.wake(host_name(host))
        if plan.left:
            log.warning("supervisor.no_room", sessions=len(plan.left))

    async def _begin(self, session_id: int) -> None:
        """Have the process of the session's host, which then begins it."""
        host = await self._stores.hosts.of(session_id)
        if host is not None:
            await self._create(host, await self._stores.sessions.get_by_id(session_id))

    async def _create(self, host: Host, record: SessionRecord | None) -> None:
        """The process of a host; `record`: its session, when it has only one."""
        if host.shared:
            actor = HostActor(
                name=host_name(host.id),
                label=f"host {host.id}",
                node=host.node,
                capacity=host.capacity,
                host=host.id,
            )
            await self._actors.create(actor, ())
            await self._actors.wake(actor.name)
        elif record is not None:
            actor = HostActor(
                name=record.own_actor_name,
                label=f"{record.tenant}/{record.name}",
                node=host.node,
                session_id=record.id,
            )
            await self._actors.create(actor, await self._closed())

    async def _end_session(self, record: SessionRecord) -> None:
        """Cleanly, if its process has it; its place is free afterwards."""
        host = await self._stores.hosts.of(record.id)
        await self._actors.stop(record.actor_name, record.id, _STOP_PATIENCE)
        if host is not None and host.shared:
            await self._stores.hosts.unassign([record.id])
        elif host is not None:
            await self._end_host(host, record.own_actor_name)
        else:
            await self._actors.kill(record.own_actor_name)
        await mark_stopped(self._stores, record)

    async def _end_host(self, host: Host, name: str) -> None:
        await self._stores.hosts.remove(host.id)
        if name:
            await self._actors.kill(name)

    @staticmethod
    def _name(host: Host, view: _View, records: dict[int, SessionRecord]) -> str:
        """Of its actor; empty for one whose only session is gone."""
        if host.shared:
            return host_name(host.id)
        session = next((s for s in view.held[host.id] if s in records), None)
        return "" if session is None else records[session].own_actor_name

    async def _closed(self) -> set[str]:
        """Ids of the nodes that take no sessions."""
        workers = await self._stores.workers.list()
        return {w.node for w in workers if w.drained} | self._cordoned_now()

    def _cordoned_now(self) -> set[str]:
        now = time.monotonic()
        self._cordoned = {node: until for node, until in self._cordoned.items() if until > now}
        return set(self._cordoned)

    async def _view(self) -> _View:
        workers = await self._stores.workers.list()
        hosts = {host.id: host for host in await self._stores.hosts.list()}
        places = await self._stores.hosts.assignments()
        places = {session: host for session, host in places.items() if host in hosts}
        starts = {start.session_id: start for start in await self._stores.starts.list()}
        held: dict[int, set[int]] = {host: set() for host in hosts}
        for session, host in places.items():
            held[host].add(session)
            if not hosts[host].shared and (node := _node_of(starts.get(session))):
                hosts[host] = replace(hosts[host], node=node)
        return _View(
            nodes=[Node(id=w.node, slots=w.slots, open=not w.drained) for w in workers],
            hosts=hosts,
            places=places,
            held=held,
            starts=starts,
        )

    def _lock(self, session_id: int) -> asyncio.Lock:
        return self._locks.setdefault(session_id, asyncio.Lock())


def _node_of(start: Start | None) -> str:
    """Where a session's process is, as far as it said so."""
    if start is None:
        return ""
    if start.held_on:
        return start.held_on
    return start.owner_node if not start.released and start.lapsed <= 0 else ""


def _as_it_should_be(view: _View, records: dict[int, SessionRecord]) -> bool:
    """Each session that is to run has a place and an owner, and the others have ended."""
    wanted = {record.id for record in records.values() if _wanted(record)}
    owned = {s.session_id for s in view.starts.values() if not s.released and s.lapsed < 0}
    ended = (SessionStatus.STOPPED, SessionStatus.FAILED)
    return wanted == view.places.keys() == wanted & owned and all(
        record.id in wanted or record.status in ended for record in records.values()
    )


def _wanted(record: SessionRecord) -> bool:
    return record.desired is DesiredState.RUNNING and record.status is not SessionStatus.FAILED
