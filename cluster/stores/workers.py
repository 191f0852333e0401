"""Nodes of the cluster, as the supervisor sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cluster.stores.database import Database

__all__ = ["NodeReport", "Worker", "WorkerStore"]


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeReport:
    """One node that is alive."""

    #: Ray node id, hex; a restart of the node makes a new one.
    node: str
    #: `ray start --node-name`; its address by default.
    name: str
    address: str
    #: `session_slots` it offers.
    slots: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Worker:
    """One node that is alive, with what it does."""

    node: str
    name: str
    address: str
    slots: int
    #: Sessions it owns at the moment.
    sessions: int
    drained: bool
    started_at: datetime
    seen_at: datetime


class WorkerStore:
    """Table `workers`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def replace(self, alive: Sequence[NodeReport]) -> None:
        """These nodes are alive, and no others."""
        await self._db.run(
            """
            WITH gone AS (DELETE FROM workers WHERE node <> ALL(%(nodes)s))
            INSERT INTO workers (node, name, address, slots)
            SELECT * FROM unnest(%(nodes)s::text[], %(names)s::text[], %(addresses)s::text[],
                                 %(slots)s::integer[])
            ON CONFLICT (node) DO UPDATE SET name = excluded.name, address = excluded.address,
                slots = excluded.slots, seen_at = clock_timestamp()
            """,
            {
                "nodes": [n.node for n in alive],
                "names": [n.name for n in alive],
                "addresses": [n.address for n in alive],
                "slots": [n.slots for n in alive],
            },
        )

    async def list(self) -> list[Worker]:
        """All nodes, by name."""
        rows = await self._db.all(
            """
            SELECT w.node, w.name, w.address, w.slots, w.started_at, w.seen_at,
                   (SELECT count(*) FROM ownership o
                    WHERE o.node = w.node AND NOT o.released
                          AND o.lease_until > clock_timestamp())::integer AS sessions,
                   EXISTS (SELECT 1 FROM drained_nodes d
                           WHERE d.node IN (w.name, w.node)) AS drained
            FROM workers w ORDER BY w.name, w.node
            """,
            {},
        )
        return [Worker(**row) for row in rows]
