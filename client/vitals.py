"""How sessions and the cluster are doing: what the stores know, and what processes reported."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from cluster.domain.vitals import NodeVitals, Ownership, SessionVitals, Tenure
from cluster.stores import Stores

__all__ = ["ClusterVitals", "session_vitals"]

#: Sessions that the cluster's page can show at once.
_MOST_TENURES = 5000


async def session_vitals(
    stores: Stores, tenant: str, names: Sequence[str] | None, limit: int
) -> list[SessionVitals]:
    """Of the tenant's sessions, or of those with these names. Without Redis: without memory."""
    found = await stores.vitals.sessions(tenant, names, limit)
    statuses = await stores.cache.status_many([one.id for one in found])
    return [
        replace(one, memory=status.get("memory"), smaller=status.get("smaller") or {})
        if status and one.node
        else one
        for one, status in zip(found, statuses, strict=True)
    ]


class ClusterVitals:
    """Every tenant's: for whoever operates the gateway."""

    def __init__(self, stores: Callable[[], Awaitable[Stores]]) -> None:
        self._stores = stores

    async def nodes(self) -> list[NodeVitals]:
        """Nodes that are alive with the sessions they own, by name."""
        stores = await self._stores()
        workers, tenures = await asyncio.gather(
            stores.workers.list(), stores.vitals.tenures(_MOST_TENURES)
        )
        statuses = await asyncio.gather(*(stores.cache.worker_get(w.node) for w in workers))
        by_node: defaultdict[str, list[Tenure]] = defaultdict(list)
        for tenure in tenures:
            by_node[tenure.node].append(tenure)
        return [
            NodeVitals(
                node=worker.node,
                name=worker.name,
                address=worker.address,
                slots=worker.slots,
                drained=worker.drained,
                started_at=worker.started_at,
                sessions=tuple(by_node[worker.node]),
                health=health or {},
            )
            for worker, health in zip(workers, statuses, strict=True)
        ]

    async def ownerships(self, *, limit: int) -> list[Ownership]:
        """Who got which session; newest first."""
        return await (await self._stores()).vitals.ownerships(limit)
