"""Session actors that only remember; they stand in for Ray's, which is not the subject."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import timedelta

from actors.supervision.session_actors import Pulse, SessionActors
from cluster.domain.session import SessionRecord, SessionStatus
from cluster.settings import Settings
from cluster.stores import Stores
from cluster.stores.workers import NodeReport

TTL = timedelta(seconds=30)


@dataclass
class Hosted:
    """One actor."""

    record: SessionRecord
    node: str


@dataclass
class FakeActors(SessionActors):
    """An actor that is created owns its session at once, on the emptiest node it may be on."""

    stores: Stores
    settings: Settings
    cluster: list[NodeReport]
    hosted: dict[str, Hosted] = field(default_factory=dict)
    #: `create old-node→new-node`, `stop`, `kill`, by session name.
    log: list[tuple[str, str]] = field(default_factory=list)
    pulses: dict[str, Pulse] = field(default_factory=dict)
    #: Names of those that are created but never claim.
    dead_on_arrival: set[str] = field(default_factory=set)

    def __len__(self) -> int:
        return len(self.hosted)

    async def nodes(self) -> list[NodeReport]:
        return self.cluster

    async def names(self) -> set[str]:
        return set(self.hosted)

    async def create(self, record: SessionRecord, excluded: Collection[str]) -> None:
        if record.actor_name in self.hosted:
            return
        allowed = [n.node for n in self.cluster if n.node not in excluded]
        load = [hosted.node for hosted in self.hosted.values()]
        node = min(allowed, key=load.count)
        self.hosted[record.actor_name] = Hosted(record, node)
        self.log.append(("create", record.name))
        if record.name in self.dead_on_arrival:
            return
        claim = await self.stores.ownership.claim(record.id, node, "holder", TTL)
        await self.stores.sessions.set_status(record.id, claim.epoch, SessionStatus.WORKING)

    async def stop(self, record: SessionRecord, patience: float) -> bool:
        self.log.append(("stop", record.name))
        epoch = await self.stores.ownership.newest_epoch(record.id)
        await self.stores.ownership.release(record.id, epoch, clean=True)
        self.hosted.pop(record.actor_name, None)
        return True

    async def kill(self, record: SessionRecord) -> None:
        self.log.append(("kill", record.name))
        self.hosted.pop(record.actor_name, None)

    async def pulse(
        self, record: SessionRecord, patience: float, open_nodes: Collection[str]
    ) -> Pulse:
        return self.pulses.get(record.name, Pulse.ANSWERS)

    async def forget_others(self, known: Collection[int]) -> None:
        pass
