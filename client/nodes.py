"""The nodes of the cluster, and taking sessions off one of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from cluster.domain.errors import Conflict, NotFound
from cluster.stores import Stores
from cluster.stores.workers import Worker

__all__ = ["Nodes"]

#: Shortest part of a node id that names it.
_PREFIX = 6
_POLL_SECONDS = 0.5


class Nodes:
    """Nodes by name (`ray start --node-name`, by default the address) or id, or its beginning."""

    def __init__(self, stores: Callable[[], Awaitable[Stores]]) -> None:
        self._stores = stores

    async def list(self) -> list[Worker]:
        """Nodes that are alive, by name."""
        return await (await self._stores()).workers.list()

    async def drain(self, node: str, *, patience: float = 0.0) -> Worker:
        """Take no more sessions on `node` and have those it has handed over, one after the other,
        which the supervisor does; see `leaving`. Stays so over restarts of the node.

        Raises `NotFound`, and `Conflict` when the other nodes have no room, and have got none
        `patience` seconds later: one that was started a moment ago may be about to.
        """
        deadline = time.monotonic() + patience
        while True:
            try:
                return await self._drain(node)
            except Conflict:
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(_POLL_SECONDS)

    async def _drain(self, node: str) -> Worker:
        stores = await self._stores()
        everyone = await stores.workers.list()
        chosen = _find(everyone, node)
        others = [w for w in everyone if w.node != chosen.node and not w.drained]
        room = sum(w.slots - w.sessions for w in others)
        if not any(w.slots for w in others):
            raise Conflict("no other node takes sessions: add one first", field="node")
        if room < chosen.sessions:
            raise Conflict(
                f"{chosen.sessions} sessions would have to move and the other nodes have room for "
                f"{room}: add a node first",
                field="node",
            )
        await stores.drained.add(_key(everyone, chosen))
        return chosen

    async def remaining(self, worker: Worker) -> AsyncIterator[int]:
        """How many sessions the drained node still has, whenever that changes, down to 0."""
        stores = await self._stores()
        last = -1
        while last:
            now = [w for w in await stores.workers.list() if w.node == worker.node]
            sessions = now[0].sessions if now else 0
            if sessions != last:
                yield sessions
            last = sessions
            await asyncio.sleep(_POLL_SECONDS if last else 0)

    async def undrain(self, node: str) -> str:
        """Sessions are welcome on `node` again (it need not be up); returns the name it was
        drained by. Those that moved stay where they are. Raises `NotFound`, `Conflict`."""
        stores = await self._stores()
        if await stores.drained.remove(node):
            return node
        chosen = _find(await stores.workers.list(), node)
        for name in (chosen.name, chosen.node):
            if await stores.drained.remove(name):
                return name
        raise Conflict(f"node '{node}' is not drained", field="node")


def _find(everyone: list[Worker], node: str) -> Worker:
    found = [w for w in everyone if w.name == node]
    if not found and len(node) >= _PREFIX:
        found = [w for w in everyone if w.node.startswith(node)]
    if not found:
        names = ", ".join(sorted(w.name for w in everyone)) or "none"
        raise NotFound(f"there is no node '{node}'; there are: {names}", field="node")
    if len(found) > 1:
        raise Conflict(f"several nodes are called '{node}': give an id instead", field="node")
    return found[0]


def _key(everyone: list[Worker], chosen: Worker) -> str:
    """Its name, which a restart keeps, unless it shares it."""
    same = [w for w in everyone if w.name == chosen.name]
    return chosen.name if chosen.name and len(same) == 1 else chosen.node
