"""Nodes that run sessions, as they registered themselves."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from cluster.stores.database import Database

__all__ = ["Worker", "WorkerStore"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Worker:
    """One node."""

    #: Ray node id, hex.
    node: str
    address: str
    #: `session_slots` it offers.
    slots: int
    #: Sessions it hosts at the moment.
    sessions: int
    started_at: datetime
    seen_at: datetime


class WorkerStore:
    """Table `workers`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def report(self, node: str, address: str, *, slots: int, sessions: int) -> None:
        """Register a node, or say that it is still there."""
        await self._db.run(
            """
            INSERT INTO workers (node, address, slots, sessions)
            VALUES (%(node)s, %(address)s, %(slots)s, %(sessions)s)
            ON CONFLICT (node) DO UPDATE SET address = excluded.address, slots = excluded.slots,
                sessions = excluded.sessions, seen_at = clock_timestamp()
            """,
            {"node": node, "address": address, "slots": slots, "sessions": sessions},
        )

    async def list(self) -> list[Worker]:
        """All nodes, by name."""
        return [Worker(**row) for row in await self._db.all(_LIST, {})]

    async def forget_lost(self, unseen_for: timedelta) -> int:
        """Remove nodes that were not seen for that long."""
        return await self._db.run(
            "DELETE FROM workers WHERE seen_at < clock_timestamp() - %(unseen)s",
            {"unseen": unseen_for},
        )


_LIST = "SELECT node, address, slots, sessions, started_at, seen_at FROM workers ORDER BY node"
