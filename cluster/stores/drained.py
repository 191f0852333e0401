"""Nodes that take no sessions: what people asked for, kept over restarts of the node."""

from __future__ import annotations

from cluster.stores.database import Database

__all__ = ["DrainStore"]


class DrainStore:
    """Table `drained_nodes`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def add(self, node: str) -> None:
        """No sessions on the node of this name (or id) any more."""
        await self._db.run(
            "INSERT INTO drained_nodes (node) VALUES (%(node)s) ON CONFLICT DO NOTHING",
            {"node": node},
        )

    async def remove(self, node: str) -> bool:
        """Sessions are welcome again; False when they were."""
        touched = await self._db.run(
            "DELETE FROM drained_nodes WHERE node = %(node)s", {"node": node}
        )
        return touched > 0

    async def names(self) -> frozenset[str]:
        """Names (or ids) of drained nodes, whether they are there at the moment or not."""
        rows = await self._db.all("SELECT node FROM drained_nodes", {})
        return frozenset(row["node"] for row in rows)
