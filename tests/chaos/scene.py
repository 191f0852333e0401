"""What a fault works on, and what it reports."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from chaos.gateway import Gateway
from chaos.people import Person, Phones
from chaos.servers import Servers
from cluster.domain.errors import Unavailable

__all__ = ["Fault", "Scene", "Strike"]

_HEAD = "node-1"


@dataclass(slots=True, kw_only=True)
class Strike:
    """A fault that is there."""

    #: Whose recovery is measured.
    affected: list[Person]
    #: Recovery is counted from here (time.monotonic()) …
    since: float
    #: … to the end of the first success that began here or later; `since` by default.
    not_before: float = 0.0
    #: What it did, for the log.
    what: str = ""
    #: Things that are not as they should be.
    remarks: list[str] = field(default_factory=list)

    def success_from(self) -> float:
        return max(self.since, self.not_before)


@dataclass(slots=True)
class Scene:
    """Everything there is."""

    gateway: Gateway
    servers: Servers
    phones: Phones
    people: list[Person]
    #: Whose session is not linked at the moment: what is sent to them reaches their phone only.
    unlinked: set[Person] = field(default_factory=set)

    async def on_node(self, node_id: str) -> list[Person]:
        """Whose sessions a node has."""
        sessions = await self.gateway.sessions()
        return [p for p in self.people if sessions[p.session]["gateway"]["node"] == node_id]

    async def busiest_worker(self) -> tuple[str, str, list[Person]]:
        """Name, id and people of the node that has most sessions, the head left aside. Faults drive
        sessions to the head, which is spared: when it has nearly all, they are spread again."""
        found = await self._busiest()
        if len(found[2]) < max(1, len(self.people) // (2 * self.gateway.nodes)):
            await self.gateway.spread(_HEAD)
            # A move takes a spare process where it ends: not what is to be measured.
            await self.gateway.settled()
            found = await self._busiest()
        if not found[2]:
            raise Unavailable("no session is on a node besides the head")
        return found

    async def _busiest(self) -> tuple[str, str, list[Person]]:
        ids = await self.gateway.node_ids()
        found = [
            (name, ids[name], await self.on_node(ids[name]))
            for name in await self.gateway.workers()
        ]
        return max(found, key=lambda one: len(one[2]))

    async def status_of(
        self, person: Person, wanted: str, seconds: float, *, word: str = ""
    ) -> tuple[str, str]:
        """The session's status and its reason, once it is the wanted one with this word in the
        reason, or when the time is over."""
        deadline = asyncio.get_running_loop().time() + seconds
        while True:
            found = (await self.gateway.sessions())[person.session]
            status, reason = str(found["status"]), str(found["gateway"]["reason"] or "")
            over = asyncio.get_running_loop().time() > deadline
            if over or (status == wanted and word in reason):
                return status, reason
            await asyncio.sleep(0.3)


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to break things. Entering strikes; leaving, when those concerned have recovered,
    puts everything right again."""

    name: str
    what: str
    strike: Callable[[Scene], AbstractAsyncContextManager[Strike]]
    #: Longest wait for the recovery of those concerned, seconds.
    patience: float = 120.0
    #: It cuts cables, so there must be some.
    cables: bool = False
    #: No session has a reason to log in again.
    stays_connected: bool = False
    #: The data folders of nodes besides the head must lie on small file systems.
    small_disks: bool = False
    #: PostgreSQL's clock must be one that can be stepped.
    steps_clock: bool = False
    #: Requests to sessions that it does not concern are all accepted.
    spares_others: bool = False
