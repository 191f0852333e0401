"""Nodes of the cluster, as the supervisor sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cluster.stores.database import Database

__all__ = ["NodeReport", "Worker", "WorkerStore"]


#: A node's agent speaks this long after its node joined, at the latest.
_FIRST_HEARTBEAT_SECONDS = 20.0


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
    """One node, with what it does."""

    node: str
    name: str
    address: str
    slots: int
    #: Sessions it owns at the moment.
    sessions: int
    #: It takes no sessions and hands over those it has: somebody drained it, or it does not reach
    #: WhatsApp while others do.
    drained: bool
    started_at: datetime
    seen_at: datetime
    #: When it was found missing; None: it is alive.
    lost_at: datetime | None = None


class WorkerStore:
    """Table `workers`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def replace(self, alive: Sequence[NodeReport]) -> None:
        """These nodes are alive; the others are lost, and forgotten after a week."""
        await self._db.run(
            """
            WITH lost AS (
                UPDATE workers SET lost_at = clock_timestamp(), sessions = 0
                WHERE node <> ALL(%(nodes)s) AND lost_at IS NULL
            ), forgotten AS (
                DELETE FROM workers
                WHERE node <> ALL(%(nodes)s) AND lost_at < clock_timestamp() - interval '7 days'
            ), owned AS (
                SELECT node, count(*) AS sessions FROM ownership o
                WHERE NOT released AND lease_runs(o) GROUP BY node
            )
            INSERT INTO workers (node, name, address, slots, sessions)
            SELECT found.node, found.name, found.address, found.slots, coalesce(owned.sessions, 0)
            FROM unnest(%(nodes)s::text[], %(names)s::text[], %(addresses)s::text[],
                        %(slots)s::integer[]) AS found(node, name, address, slots)
                 LEFT JOIN owned USING (node)
            ON CONFLICT (node) DO UPDATE SET name = excluded.name, address = excluded.address,
                slots = excluded.slots, sessions = excluded.sessions,
                seen_at = clock_timestamp(), lost_at = NULL
            """,
            {
                "nodes": [n.node for n in alive],
                "names": [n.name for n in alive],
                "addresses": [n.address for n in alive],
                "slots": [n.slots for n in alive],
            },
        )

    async def report_alive(self, node: str, host: str = "") -> None:
        """The node is alive, and reaches PostgreSQL. `host`: what it shares with others."""
        await self._db.run(
            "UPDATE workers SET beat_at = clock_timestamp(), host = %(host)s WHERE node = %(node)s",
            {"node": node, "host": host},
        )

    async def report_whatsapp(self, node: str, unreachable: bool) -> None:
        """Whether the node reaches WhatsApp."""
        await self._db.run(
            "UPDATE workers SET whatsapp_away = %(unreachable)s WHERE node = %(node)s",
            {"node": node, "unreachable": unreachable},
        )

    async def silence(self) -> dict[str, float]:
        """Seconds since the last heartbeat of each node, lost ones too; of one whose agent never
        spoke, since it should have."""
        rows = await self._db.all(
            """
            SELECT node, extract(epoch FROM clock_timestamp()
                                 - coalesce(beat_at, started_at + %(grace)s))::float8 AS seconds
            FROM workers
            """,
            {"grace": timedelta(seconds=_FIRST_HEARTBEAT_SECONDS)},
        )
        return {row["node"]: row["seconds"] for row in rows}

    async def lost(self) -> list[Worker]:
        """Nodes that went away within the last week, by name."""
        return await self._found(lost=True)

    async def _found(self, *, lost: bool) -> list[Worker]:
        rows = await self._db.all(
            """
            SELECT w.node, w.name, w.address, w.slots, w.started_at, w.seen_at, w.lost_at,
                   (SELECT count(*) FROM ownership o
                    WHERE o.node = w.node AND NOT o.released
                          AND lease_runs(o))::integer AS sessions,
                   takes_none(w) AS drained
            FROM workers w WHERE (w.lost_at IS NOT NULL) = %(lost)s ORDER BY w.name, w.node
            """,
            {"lost": lost},
        )
        return [Worker(**row) for row in rows]

    async def list(self) -> list[Worker]:
        """Nodes that are alive, by name."""
        return await self._found(lost=False)
