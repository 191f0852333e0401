"""What PostgreSQL reports of itself and of secrets in use, for `gateway doctor`."""

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
    #: As the server's settings of these names are for our connections.
    fsync: bool
    full_page_writes: bool
    synchronous_commit: str
    synchronous_standby_names: str
    #: Servers that follow it now; of them those that commits wait for.
    replicas: int
    synchronous_replicas: int
    max_connections: int
    connections: int
    #: Sessions that are to run, and nodes that are there.
    sessions: int
    nodes: int
    #: Its clock ahead of ours, seconds.
    ahead: float
    #: Migrations that were applied; 0 on an empty database.
    migrations: int
    #: It distinguishes lives of the database (see `0050`), so that a restore is noticed.
    knows_its_life: bool

    @property
    def lacks(self) -> list[str]:
        """Why what was answered 201 may be lost: in a crash of the server, or of its machine, or in
        a failover to a replica."""
        named = bool(self.synchronous_standby_names.strip())
        found = []
        if not self.fsync:
            found.append("fsync is off: a crash of the machine can destroy the whole database")
        if not self.full_page_writes:
            found.append("full_page_writes is off: a crash of the machine can tear pages")
        if self.synchronous_commit == "off":
            found.append("synchronous_commit is off: a crash loses the last commits")
        if self.replicas and not named:
            found.append(
                f"{self.replicas} replicas, and synchronous_standby_names is empty: a failover "
                "loses the last commits"
            )
        if named and self.synchronous_commit == "local":
            found.append(
                "synchronous_commit is local, so that synchronous_standby_names has no effect: a "
                "failover loses the last commits"
            )
        return found

    @property
    def durability(self) -> str:
        """For people: where a commit is when it is answered."""
        disk = f"synchronous_commit {self.synchronous_commit}"
        if self.synchronous_standby_names.strip():
            names = self.synchronous_standby_names
            return f"{disk}, waits for {self.synchronous_replicas} of {self.replicas}: {names}"
        if self.replicas:
            return f"{disk}, {self.replicas} replicas, none of them waited for"
        return f"{disk}, no replicas: the disk of one server"


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
                   current_setting('fsync')::boolean AS fsync,
                   current_setting('full_page_writes')::boolean AS full_page_writes,
                   current_setting('synchronous_commit') AS synchronous_commit,
                   current_setting('synchronous_standby_names') AS synchronous_standby_names,
                   -- Whoever may not see more sees that they are there.
                   (SELECT count(*) FROM pg_stat_replication)::integer AS replicas,
                   (SELECT count(*) FROM pg_stat_replication
                    WHERE sync_state IN ('sync', 'quorum'))::integer AS synchronous_replicas,
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
            fsync=row["fsync"],
            full_page_writes=row["full_page_writes"],
            synchronous_commit=row["synchronous_commit"],
            synchronous_standby_names=row["synchronous_standby_names"],
            replicas=row["replicas"],
            synchronous_replicas=row["synchronous_replicas"],
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
