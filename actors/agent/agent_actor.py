"""The Ray shell of a node's agent: a detached actor that lives on its node and dies with it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import ray
import structlog
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from actors.agent.agent import Node, WorkerAgent
from actors.agent.lapsed import Lapsed
from actors.agent.lost_nodes import HEARTBEAT_SECONDS, LostNodes
from actors.agent.orphaned_spools import OrphanedSpools
from actors.agent.raylets import Probes, Raylet, alive_raylets, call_dead, in_thread
from actors.agent.reach import PATIENCE, Reach
from actors.agent.spares import Spares, needed
from actors.endless import endless
from actors.loop_thread import LoopThread
from actors.peers import agent_name, agents_present
from actors.process_identity import host_id
from actors.retry import retry_until_available
from actors.session.seen_leases import SeenLeases
from actors.ticks import until_tick
from actors.zygote.options import become_control, control_options, forks, own_cert_file, start_spare
from actors.zygote.spares import preloads
from client.routing import Router
from cluster.domain.errors import GatewayError, Unavailable
from cluster.domain.session import SessionRecord
from cluster.reach import connects, way_to_whatsapp
from cluster.settings import Settings
from cluster.stores import Stores
from cluster.telemetry.configure import configure_telemetry

__all__ = [
    "WorkerAgentActor",
    "alive_nodes",
    "start_agents",
    "stop_agents",
]

log = structlog.get_logger(__name__)

_PROBE_SECONDS = 5.0
#: From one look at which nodes Ray counts as alive to the next.
_RAYLETS_SECONDS = 1.0
#: Between looks at the leases of all sessions.
_LEASES_SECONDS = 1.0
#: Between beats, and looks for others, of the only node: one that joins is known after that.
_ALONE_SECONDS = 5.0
_STOP_SECONDS = 10.0
_ADOPT_SECONDS = 30.0


class WorkerAgentActor:
    """Name `node-agent:<node id>`. Agents see to it that every node has one, new ones too."""

    def __init__(self, cert_file: str | None = None) -> None:
        """`cert_file`: see `become_control`."""
        become_control(cert_file)
        self._settings = settings = Settings()
        settings.stores = settings.stores.model_copy(
            update={"database_pool_max": settings.stores.connections_of_agent}
        )
        self._id = ray.get_runtime_context().get_node_id()
        self._router = Router(self._settings)
        configure_telemetry(self._settings, "agent", node=self._id)
        self._agent: WorkerAgent | None = None
        self._reach: Reach | None = None
        self._stores: Stores | None = None
        self._raylets: list[Raylet] = []
        #: No other node could look at this one, or be looked at.
        self._alone = False
        self._loop = LoopThread("agent-loop")
        # Ray starts a fresh process on the same node.
        self._life = self._loop.live_by(self._run, "worker.agent_crashed", node=self._id)

    def __repr__(self) -> str:
        return f"WorkerAgentActor({self._id[:8]})"

    async def ready(self) -> bool:
        """Answers when the actor is up."""
        return True

    async def reaches_postgresql(self) -> bool:
        """Whether PostgreSQL answers this node now; waits for that without an end."""

        async def ask() -> bool:
            if self._stores is None:
                return False
            try:
                await self._stores.db.ping()
            except Unavailable:
                return False
            return True

        return await self._loop.call(ask)

    async def probe_whatsapp(self) -> None:
        """A session of this node does not reach it."""
        if self._reach is not None:
            self._loop.call_soon(self._reach.probe_now)

    async def take_supervisor(self, off: str) -> None:
        """The supervisor cannot go on on the node `off`: have it on another."""
        # It costs memory, and hardly any agent is ever asked.
        from actors.supervisor.create_actor import take_supervisor

        log.warning("worker.takes_supervisor", node=self._id)
        await asyncio.to_thread(take_supervisor, self._settings, off)

    async def stop(self) -> None:
        """Report it to the backend, and end."""
        if self._agent is not None:
            self._loop.call_soon(self._agent.stop)
            await asyncio.wait({asyncio.wrap_future(self._life)}, timeout=_STOP_SECONDS)

    async def _run(self) -> None:
        self._stores = stores = await retry_until_available(
            lambda: Stores.open(self._settings), "worker.stores_unreachable", pauses=(1.0, 1.0)
        )
        me = None
        while me is None:
            nodes = await _nodes_in_time()
            me = next((n for n in nodes or () if n.id == self._id), None)
            if me is None:
                await asyncio.sleep(1)
        self._agent = WorkerAgent(stores, self._settings, me, self._see_to_all)
        orphaned_spools = OrphanedSpools(stores, self._settings.data_dir, me.id, self._adopt)
        spares = Spares(
            self._settings.data_dir,
            partial(self._wanted_spares, stores),
            self._spare,
            after=self._settings.placement.spares_after_seconds,
        )
        pause = partial(self._pause, HEARTBEAT_SECONDS)
        lost = LostNodes(
            me.id,
            raylets=lambda: self._raylets,
            silence=stores.workers.silence,
            probe=Probes().probe,
            report=_unregister,
        )
        way = way_to_whatsapp(self._settings.whatsapp.proxy_url)
        self._reach = reach = Reach(
            partial(connects, *way, seconds=PATIENCE),
            partial(stores.workers.report_whatsapp, self._id),
        )
        lapsed = Lapsed(
            stores,
            self._settings.supervisor.settled_seconds,
            SeenLeases(self._settings.data_dir, self._id),
        )
        beside = [
            asyncio.create_task(endless("beat", self._heartbeat)),
            asyncio.create_task(endless("raylets", self._know_raylets)),
            asyncio.create_task(endless("lost nodes", partial(lost.run, pause))),
            asyncio.create_task(endless("lapsed leases", partial(lapsed.run, self._until_leases))),
            asyncio.create_task(endless("reach", reach.run)),
            asyncio.create_task(endless("orphaned-spools", orphaned_spools.run)),
            asyncio.create_task(endless("spares", spares.run)),
        ]
        try:
            await self._agent.run()
        finally:
            for task in beside:
                task.cancel()
        await stores.close()

    async def _heartbeat(self) -> None:
        """Say that this node lives."""
        assert self._stores is not None  # noqa: S101 - opened before
        while True:
            try:
                await self._stores.workers.report_alive(self._id, host_id())
            except GatewayError as error:
                log.debug("worker.no_beat", error=error.detail)
            await asyncio.sleep(self._pause(HEARTBEAT_SECONDS))

    def _pause(self, seconds: float) -> float:
        """Until what concerns other nodes is done again, which is every so many seconds."""
        return until_tick(_ALONE_SECONDS) if self._alone else seconds

    def _until_leases(self) -> float:
        """Until leases are looked at again. Of the only node's owners one that takes over sees the
        end: no node's loss is to be noticed."""
        return until_tick(_ALONE_SECONDS if self._alone else _LEASES_SECONDS)

    async def _know_raylets(self) -> None:
        """While the GCS is unreachable those that it knew last are looked at."""
        while True:
            try:
                # For as long as it takes: one that is given up would still hold its thread.
                self._raylets, nodes = await in_thread(alive_raylets)
                self._alone = nodes == 1
            except RayError as error:
                log.warning("worker.nodes_unknown", error=str(error))
            await asyncio.sleep(self._pause(_RAYLETS_SECONDS))

    async def _wanted_spares(self, stores: Stores) -> int:
        placement = self._settings.placement
        if not preloads():
            # A spare process would have loaded nothing.
            return 0
        if placement.spare_processes is not None or not forks(self._settings):
            return 1 if placement.spare_processes is None else placement.spare_processes
        if self._alone:
            # Nobody's loss is to be made up for.
            return needed(self._id, (), placement.sessions_per_actor)
        return needed(self._id, await stores.workers.list(), placement.sessions_per_actor)

    async def _spare(self) -> None:
        await asyncio.to_thread(start_spare, self._settings, self._id)

    async def _adopt(self, record: SessionRecord, entries: list[bytes]) -> None:
        await self._router.call(
            record,
            lambda actor: actor.adopt.remote(entries, session_id=record.id),
            timeout=_ADOPT_SECONDS,
        )

    async def _see_to_all(self) -> list[Node] | None:
        nodes = await _nodes_in_time()
        if nodes is not None:
            try:
                async with asyncio.timeout(_PROBE_SECONDS):
                    await asyncio.to_thread(_create_missing, self._settings, nodes)
            except (TimeoutError, RayError, ValueError) as error:
                log.warning("worker.agents_not_seen_to", error=str(error))
        return nodes


def alive_nodes() -> list[Node]:
    """Nodes that are alive, by Ray."""
    return [
        Node(
            id=node["NodeID"],
            name=node.get("NodeName", ""),
            address=node["NodeManagerAddress"],
            slots=int(node.get("Resources", {}).get("session_slots", 0)),
        )
        for node in ray.nodes()
        if node["Alive"]
    ]


def start_agents(settings: Settings) -> list[Any]:
    """One on every node that has none; returns those that were made."""
    return _create_missing(settings, alive_nodes())


def stop_agents(settings: Settings) -> None:
    """End them; the backend hears of it."""
    handles = [
        ray.get_actor(name, settings.placement.namespace) for name in agents_present(settings)
    ]
    for handle in handles:
        # Killed actors must not be made again by those that still live.
        try:
            ray.get(handle.stop.remote(), timeout=_STOP_SECONDS + 1)
        except RayError as error:
            log.warning("bootstrap.agent_not_clean", error=str(error))
    for handle in handles:
        ray.kill(handle, no_restart=True)


def _create_missing(settings: Settings, nodes: list[Node]) -> list[Any]:
    present = agents_present(settings)
    made: list[Any] = []
    for node in nodes:
        name = agent_name(node.id)
        if name in present:
            continue
        remote: Any = ray.remote(WorkerAgentActor)
        made.append(
            remote.options(
                name=name,
                namespace=settings.placement.namespace,
                lifetime="detached",
                get_if_exists=True,
                max_restarts=-1,
                num_cpus=0,
                scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False),
                **control_options(settings),
            ).remote(own_cert_file(settings))
        )
    return made


async def _unregister(raylet: Raylet, why: str) -> None:
    gcs = ray.get_runtime_context().gcs_address
    await in_thread(partial(call_dead, gcs, raylet.node, why))


async def _nodes_in_time() -> list[Node] | None:
    """None while the control store does not answer."""
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            return await asyncio.to_thread(alive_nodes)
    except (TimeoutError, RayError) as error:
        log.warning("worker.nodes_unknown", error=str(error))
        return None
