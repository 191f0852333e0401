"""Figures of the whole cluster, by aggregates that stay cheap with many sessions."""

from __future__ import annotations

from cluster.stores.database import Database, Row

__all__ = ["MeasureStore"]


class MeasureStore:
    """Reads every table, changes none."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def sessions(self) -> list[Row]:
        """`status`, `desired`, `count`."""
        return await self._db.all(
            "SELECT status, desired, count(*) AS count FROM sessions GROUP BY 1, 2", {}
        )

    async def totals(self) -> Row:
        """One row of figures; ages in seconds."""
        row = await self._db.one(
            """
            SELECT
              (SELECT coalesce(sum(event_seq), 0) FROM session_streams)::bigint AS events,
              (SELECT coalesce(sum(outbox_seq), 0) FROM session_streams)::bigint AS sends,
              (SELECT coalesce(sum(epoch), 0) FROM ownership)::bigint AS epochs,
              (SELECT count(*) FROM sessions s JOIN ownership o ON o.session_id = s.id
               WHERE s.desired = 'RUNNING' AND s.status <> 'FAILED'
                 AND (o.released OR o.lease_until < clock_timestamp())) AS ownerless,
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
