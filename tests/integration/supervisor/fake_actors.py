"""Actors of hosts that only remember; they stand in for Ray's, which is not the subject."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import timedelta

from actors.hosts.create_actor import HostActor
from actors.supervisor.host_actors import HostActors, ProbeResult
from cluster.domain.session import SessionStatus
from cluster.settings import Settings
from cluster.stores import Stores
from cluster.stores.workers import NodeReport

TTL = timedelta(seconds=30)


@dataclass
class FakeActors(HostActors):
    """A process that has a session owns it at once."""

    stores: Stores
    settings: Settings
    cluster: list[NodeReport]
    #: By name: what was made, and where it is.
    made: dict[str, HostActor] = field(default_factory=dict)
    node_of: dict[str, str] = field(default_factory=dict)
    #: `create`, `kill` with an actor's name; `stop` with a session's id.
    log: list[tuple[str, str]] = field(default_factory=list)
    probes: dict[str, ProbeResult] = field(default_factory=dict)
    #: Names of those that are made but never claim anything.
    dead_on_arrival: set[str] = field(default_factory=set)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __len__(self) -> int:
        return len(self.made)

    async def nodes(self) -> list[NodeReport]:
        return self.cluster

    async def names(self) -> set[str]:
        return set(self.made)

    async def create(self, actor: HostActor, excluded: Collection[str]) -> None:
        if actor.name in self.made:
            return
        allowed = [n.node for n in self.cluster if n.node not in excluded]
        self.made[actor.name] = actor
        self.node_of[actor.name] = actor.node if actor.node in allowed else allowed[0]
        self.log.append(("create", actor.name))
        if actor.session_id:
            await self._own(actor.name, {actor.session_id})

    async def wake(self, name: str) -> None:
        if name in self.made:
            await self._own(name, await self.stores.hosts.sessions_of(self.made[name].host) or ())

    async def stop(self, name: str, session_id: int, patience: float) -> bool:
        if name not in self.made:
            return True
        self.log.append(("stop", str(session_id)))
        epoch = await self.stores.ownership.newest_epoch(session_id)
        return await self.stores.ownership.release(session_id, epoch, clean=True)

    async def stop_all(self, name: str, patience: float) -> bool:
        self.log.append(("stop_all", name))
        return True

    async def kill(self, name: str) -> None:
        if self.made.pop(name, None):
            self.log.append(("kill", name))
            del self.node_of[name]

    async def probe(self, name: str, patience: float, open_nodes: Collection[str]) -> ProbeResult:
        return self.probes.get(name, ProbeResult.ANSWERS)

    async def keep_only(self, names: Collection[str]) -> None:
        pass

    async def _own(self, name: str, sessions: Collection[int]) -> None:
        if name in self.dead_on_arrival:
            return
        node = self.node_of[name]
        async with self.turn:
            for session_id in sessions:
                record = await self.stores.sessions.get_by_id(session_id)
                if record.node == node:
                    continue
                claim = await self.stores.ownership.claim(session_id, node, "holder", TTL)
                await self.stores.sessions.set_status(
                    session_id, claim.epoch, SessionStatus.WORKING
                )
