"""How sessions and nodes are doing, read from every table that knows; changes none."""

from __future__ import annotations

from collections.abc import Sequence

from cluster.domain.vitals import Ownership, SessionVitals, Tenure, TrafficMinute
from cluster.stores.database import Database

__all__ = ["VitalStore"]


class VitalStore:
    """For people who look: lists are bounded."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def sessions(
        self, tenant: str, names: Sequence[str] | None, limit: int
    ) -> list[SessionVitals]:
        """Of the tenant's sessions, or of those with these names; by name."""
        rows = await self._db.all(
            """
            SELECT s.id, s.name, s.working_since, o.epoch,
                   CASE WHEN o.released OR NOT lease_runs(o) THEN ''
                        ELSE o.node END AS node,
                   coalesce(w.name, '') AS node_name,
                   c.newest AS checkpoint_at, c.count AS checkpoints,
                   coalesce(c.bytes, 0)::bigint AS checkpoint_bytes,
                   (SELECT count(*) FROM outbox
                    WHERE session_id = s.id AND state = 'accepted') AS outbox
            FROM sessions s JOIN ownership o ON o.session_id = s.id
                 LEFT JOIN workers w ON w.node = o.node
                 CROSS JOIN LATERAL (
                    SELECT max(created_at) AS newest, count(*) AS count, sum(size) AS bytes
                    FROM checkpoints WHERE session_id = s.id AND NOT bad) c
            WHERE s.tenant = %(tenant)s
              AND (%(names)s::text[] IS NULL OR s.name = ANY(%(names)s::text[]))
            ORDER BY s.name LIMIT %(limit)s
            """,
            {"tenant": tenant, "names": None if names is None else list(names), "limit": limit},
        )
        return [SessionVitals(**row) for row in rows]

    async def traffic(self, tenant: str, names: Sequence[str] | None) -> list[TrafficMinute]:
        """The last hour of the tenant's sessions, or of those with these names, by minute."""
        rows = await self._db.all(
            """
            WITH mine AS MATERIALIZED (
                SELECT id FROM sessions WHERE tenant = %(tenant)s
                  AND (%(names)s::text[] IS NULL OR name = ANY(%(names)s::text[]))
            ), hour AS (
                SELECT generate_series(date_trunc('minute', now()) - interval '59 minutes',
                                       date_trunc('minute', now()), interval '1 minute') AS at
            ), talked AS (
                SELECT date_trunc('minute', m.sent_at) AS at,
                       count(*) FILTER (WHERE NOT from_me) AS received,
                       count(*) FILTER (WHERE from_me) AS sent
                FROM mine CROSS JOIN LATERAL (
                    SELECT sent_at, from_me FROM messages
                    WHERE session_id = mine.id AND sent_at > now() - interval '1 hour'
                      AND kind <> ALL (messages_about_messages())) m
                GROUP BY 1
            ), counted AS (
                SELECT date_trunc('minute', d.tried_at) AS at, count(*) AS delivered,
                       max(extract(epoch FROM d.tried_at + d.took - e.happened_at)) AS lag
                FROM webhook_deliveries d JOIN mine ON mine.id = d.session_id
                     JOIN events e ON e.session_id = d.session_id AND e.seq = d.seq
                WHERE d.tried_at > now() - interval '1 hour' AND d.error = ''
                  AND d.key NOT LIKE 'replay%%'
                GROUP BY 1
            )
            SELECT hour.at, coalesce(received, 0) AS received, coalesce(sent, 0) AS sent,
                   coalesce(delivered, 0) AS delivered, coalesce(lag, 0)::float8 AS lag
            FROM hour LEFT JOIN talked USING (at) LEFT JOIN counted USING (at) ORDER BY at
            """,
            {"tenant": tenant, "names": None if names is None else list(names)},
        )
        return [TrafficMinute(**row) for row in rows]

    async def tenures(self, limit: int) -> list[Tenure]:
        """Sessions of every tenant that have a live owner, by name."""
        rows = await self._db.all(
            """
            SELECT s.tenant, s.name, s.status, o.node
            FROM ownership o JOIN sessions s ON s.id = o.session_id
            WHERE NOT o.released AND lease_runs(o)
            ORDER BY s.tenant, s.name LIMIT %(limit)s
            """,
            {"limit": limit},
        )
        return [Tenure(**row) for row in rows]

    async def ownerships(self, limit: int) -> list[Ownership]:
        """Who got which session, in every tenant; newest first."""
        rows = await self._db.all(
            """
            SELECT s.tenant, s.name AS session, l.epoch, l.node, l.node_name, l.kind, l.at,
                   coalesce(before.node, '') AS previous_node,
                   coalesce(before.node_name, '') AS previous_node_name
            FROM ownership_log l JOIN sessions s ON s.id = l.session_id
                 LEFT JOIN ownership_log before
                    ON before.session_id = l.session_id AND before.epoch = l.epoch - 1
            ORDER BY l.at DESC LIMIT %(limit)s
            """,
            {"limit": limit},
        )
        return [Ownership(**row) for row in rows]
