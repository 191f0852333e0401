"""What PostgreSQL tells of itself and of secrets in use, for `gateway doctor`."""

from __future__ import annotations

import time
from dataclasses import dataclass

from cluster.stores.database import Database

__all__ = ["InspectionStore", "ServerFacts"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerFacts:
    """Of the PostgreSQL server."""

    #: `18.1`
    version: str
    #: Of `server_version_num`: 180001.
    number: int
    #: Commits wait for the disk: without it "accepted is durable" is not true.
    durable: bool
    max_connections: int
    connections: int
    #: Sessions that are to run, and nodes that are there.
    sessions: int
    nodes: int
    #: Its clock ahead of ours, seconds.
    ahead: float
    #: Migrations that were applied; 0 on an empty database.
    migrations: int
    #: It tells lives of the database apart (see `0050`), so that a restore is noticed.
    knows_its_life: bool


class InspectionStore:
    """Reads, changes nothing."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def server(self) -> ServerFacts:
        """Raises `Unavailable`."""
        asked = time.time()
        row = await self._db.one(
            """
            SELECT extract(epoch FROM clock_timestamp())::float8 AS now,
                   current_setting('server_version') AS version,
                   current_setting('server_version_num')::integer AS number,
                   current_setting('fsync')::boolean
                     AND current_setting('synchronous_commit') <> 'off' AS durable,
                   current_setting('max_connections')::integer AS max_connections,
                   (SELECT count(*) FROM pg_stat_activity)::integer AS connections,
                   to_regclass('_yoyo_migration') IS NOT NULL AS migrated
            """,
            {},
        )
        middle = (asked + time.time()) / 2
        assert row is not None  # noqa: S101 - a SELECT without FROM has one row
        migrations, life, sessions, nodes = 0, "", 0, 0
        if row["migrated"]:
            found = await self._db.one(
                "SELECT (SELECT count(*) FROM _yoyo_migration) AS migrations, "
                "(SELECT count(*) FROM sessions WHERE desired = 'RUNNING') AS sessions, "
                "(SELECT count(*) FROM workers WHERE lost_at IS NULL) AS nodes, "
                "CASE WHEN to_regproc('database_life') IS NULL THEN '' "
                "ELSE database_life() END AS life",
                {},
            )
            assert found is not None  # noqa: S101 - a SELECT without FROM has one row
            migrations, life = found["migrations"], found["life"]
            sessions, nodes = found["sessions"], found["nodes"]
        return ServerFacts(
            version=row["version"],
            number=row["number"],
            durable=row["durable"],
            max_connections=row["max_connections"],
            connections=row["connections"],
            sessions=sessions,
            nodes=nodes,
            ahead=row["now"] - middle,
            migrations=migrations,
            knows_its_life=bool(life),
        )

    async def checkpoint_keys(self) -> dict[str, int]:
        """Key id → sessions whose newest checkpoint is sealed with it."""
        rows = await self._db.all(
            """
            SELECT key_id, count(*) AS sessions FROM (
                SELECT DISTINCT ON (session_id) key_id FROM checkpoints WHERE NOT bad
                ORDER BY session_id, epoch DESC, seq DESC) newest
            GROUP BY key_id
            """,
            {},
        )
        return {row["key_id"]: row["sessions"] for row in rows}
