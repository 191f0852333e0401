"""Figures of the whole cluster, by aggregates that stay cheap with many sessions."""

from __future__ import annotations

from datetime import timedelta

from cluster.stores.database import Database, Row
from cluster.telemetry.metrics.meter import Snapshot

__all__ = ["MetricsStore"]


class MetricsStore:
    """Reads every table; tables `measure_totals` and `measure_gauges`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def sessions(self) -> list[Row]:
        """`status`, `desired`, `count`."""
        return await self._db.all(
            "SELECT status, desired, count(*) AS count FROM sessions GROUP BY 1, 2", {}
        )

    async def add(self, snapshot: Snapshot, shard: int) -> None:
        """Add what a process counted. Raises `Unavailable`."""
        totals = sorted((*key, value) for key, value in snapshot.totals.items())
        if totals:
            await self._db.run(
                """
                INSERT INTO measure_totals (name, label, shard, value)
                SELECT name, label, %(shard)s, value
                FROM unnest(%(names)s::text[], %(labels)s::text[], %(values)s::float8[])
                     AS reported (name, label, value)
                ON CONFLICT (name, label, shard)
                DO UPDATE SET value = measure_totals.value + excluded.value
                """,
                {"shard": shard, **_columns("names", "labels", totals)},
            )
        gauges = sorted((*key, value) for key, value in snapshot.gauges.items())
        if gauges:
            await self._db.run(
                """
                INSERT INTO measure_gauges (name, source, value)
                SELECT name, source, value
                FROM unnest(%(names)s::text[], %(sources)s::text[], %(values)s::float8[])
                     AS reported (name, source, value)
                ON CONFLICT (name, source)
                DO UPDATE SET value = excluded.value, told_at = clock_timestamp()
                """,
                _columns("names", "sources", gauges),
            )

    async def counted(self) -> dict[tuple[str, str], float]:
        """(name, label) → total over all processes that ever were."""
        rows = await self._db.all(
            "SELECT name, label, sum(value) AS value FROM measure_totals GROUP BY 1, 2", {}
        )
        return {(row["name"], row["label"]): row["value"] for row in rows}

    async def present(self, within: timedelta) -> dict[tuple[str, str], float]:
        """(name, source) → latest value, of sources that reported lately."""
        rows = await self._db.all(
            """
            SELECT name, source, value FROM measure_gauges
            WHERE told_at > clock_timestamp() - %(within)s
            """,
            {"within": within},
        )
        return {(row["name"], row["source"]): row["value"] for row in rows}

    async def forget(self, older_than: timedelta) -> int:
        """Remove gauges of sources that are gone."""
        return await self._db.run(
            "DELETE FROM measure_gauges WHERE told_at < clock_timestamp() - %(age)s",
            {"age": older_than},
        )

    async def totals(self) -> Row:
        """One row of figures; ages in seconds."""
        row = await self._db.one(
            """
            SELECT
              (SELECT coalesce(sum(event_seq), 0) FROM session_streams)::bigint AS events,
              (SELECT coalesce(sum(outbox_seq), 0) FROM session_streams)::bigint AS sends,
              (SELECT coalesce(sum(epoch), 0) FROM ownership)::bigint AS epochs,
              (SELECT coalesce(sum(renewals), 0) FROM ownership)::bigint AS renewals,
              (SELECT coalesce(sum(takeovers), 0) FROM ownership)::bigint AS takeovers,
              (SELECT count(*) FROM sessions s JOIN ownership o ON o.session_id = s.id
               WHERE s.desired = 'RUNNING' AND s.status <> 'FAILED'
                 AND (o.released OR NOT lease_runs(o))) AS ownerless,
              (SELECT count(*) FROM outbox WHERE state = 'accepted') AS outbox,
              (SELECT coalesce(extract(epoch FROM clock_timestamp() - min(accepted_at)), 0)
               FROM outbox WHERE state = 'accepted')::float8 AS outbox_age,
              (SELECT count(*) FROM checkpoints) AS checkpoints,
              (SELECT coalesce(sum(size), 0) FROM checkpoints)::bigint AS checkpoint_bytes,
              (SELECT count(*) FROM checkpoints WHERE bad) AS checkpoints_bad,
              (SELECT count(*) FROM webhooks WHERE attempts > 0) AS webhooks_failing,
              (SELECT coalesce(sum(greatest(t.event_seq - w.cursor, 0)), 0)
               FROM webhooks w JOIN session_streams t USING (session_id))::bigint AS webhook_lag,
              (SELECT count(*) FROM webhook_dead_letters WHERE resolved_at IS NULL) AS dead_letters,
              (SELECT count(*) FROM webhook_breakers WHERE open_until > clock_timestamp())
                AS breakers
            """,
            {},
        )
        assert row is not None  # noqa: S101 - a SELECT without FROM has one row
        return row


def _columns(
    first: str, second: str, rows: list[tuple[str, str, float]]
) -> dict[str, list[str] | list[float]]:
    return {
        first: [row[0] for row in rows],
        second: [row[1] for row in rows],
        "values": [row[2] for row in rows],
    }
