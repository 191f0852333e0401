"""Webhooks: each endpoint's place in each session's events, leased by the dispatchers.

A row of `webhooks` is worked on by whoever holds its lease; every write is conditional on it. The
place moves on in the same statement that writes the delivery log, so a crash repeats at most the
one event whose POST was not yet written down. A lease is a duration: it is taken away by who has
seen it at the same place for that long (`leased`, `reclaim`), whatever the server's clock says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, LiteralString

from cluster.domain.outcome import Outcome
from cluster.domain.printable import printable
from cluster.events.envelope import Event, EventSource
from cluster.stores.database import Database, Row, jsonb
from cluster.stores.sessions import me_of

__all__ = ["BreakerRule", "Delivery", "Holding", "LeasedWebhook", "WebhookState", "WebhookStore"]


@dataclass(frozen=True, kw_only=True, slots=True)
class BreakerRule:
    """When an endpoint counts as down, and how it is tried again."""

    #: So many failures in a row, of all sessions together, open the circuit.
    failures: int
    #: The first pause; each further failure doubles it.
    pause: timedelta
    longest: timedelta


@dataclass(frozen=True, kw_only=True, slots=True)
class LeasedWebhook:
    """An endpoint of a session with something to deliver, and all that takes."""

    id: int
    session_id: int
    key: str
    origin: str
    #: Endpoints with the same one share a circuit breaker.
    target: str
    #: WAHA's `WebhookConfig`.
    config: dict[str, Any]
    cursor: int
    until: int | None
    #: Last event of the batch that was begun; not above `cursor`: none was.
    batch_until: int
    attempts: int
    lease: str
    tenant: str
    source: EventSource

    @property
    def of_operator(self) -> bool:
        """From the gateway's settings, also as a replay (0003: how keys are made)."""
        return self.key.rpartition("/")[2].startswith("gwh_")


@dataclass(frozen=True, slots=True)
class Holding:
    """A lease and how far its holder is: the same twice, and nothing was dealt with between."""

    id: int
    lease: str
    cursor: int
    #: How long the holder may take for one event.
    lease_for: timedelta


@dataclass(frozen=True, kw_only=True, slots=True)
class WebhookState:
    """How an endpoint of a session is doing."""

    key: str
    origin: str
    url: str
    events: tuple[str, ...]
    cursor: int
    until: int | None
    #: Events that wait behind the cursor, wanted or not.
    behind: int
    attempts: int
    next_try_at: datetime | None
    error: str
    #: Until when the circuit of the endpoint is open; None when it is closed.
    open_until: datetime | None
    dead_letters: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """One try of one event."""

    id: int
    key: str
    seq: int
    event_id: str
    type: str
    attempt: int
    status: int | None
    error: str
    took: timedelta
    tried_at: datetime


class WebhookStore:
    """Tables `webhooks`, `global_webhooks`, `webhook_breakers`, `webhook_deliveries`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    # -- for dispatchers ------------------------------------------------------------------------

    async def take(
        self,
        *,
        lease: str,
        lease_for: timedelta,
        most: int,
        room: Mapping[str, int],
        room_each: int,
        rule: BreakerRule,
        latest: timedelta,
        sessions: Sequence[int] | None = None,
    ) -> list[LeasedWebhook]:
        """Lease up to `most` endpoints that have events to deliver.

        `room`: how many more of a target may be taken, `room_each` of those not named there.
        `latest`: no try is put off for longer. `sessions`: look at these only.
        """
        rows = await self._db.all(
            _TAKE,
            {
                "lease": lease,
                "lease_for": lease_for,
                "most": most,
                "room": jsonb(dict(room)),
                "room_each": room_each,
                "failures": rule.failures,
                "latest": latest,
                "sessions": list(sessions) if sessions is not None else None,
            },
        )
        return [_leased(row) for row in rows]

    async def leased(self) -> Sequence[Holding]:
        """What dispatchers hold at the moment."""
        rows = await self._db.all(
            "SELECT id, lease, cursor, lease_for FROM webhooks WHERE lease <> ''", {}
        )
        return [Holding(**row) for row in rows]

    async def reclaim(self, lapsed: Sequence[Holding]) -> int:
        """Their holders are gone: others may take these. One that moved meanwhile stays."""
        return await self._db.run(
            """
            UPDATE webhooks w SET lease = '', lease_until = '-infinity'
            FROM unnest(%(ids)s::bigint[], %(leases)s::text[], %(cursors)s::bigint[])
                 AS gone (id, lease, cursor)
            WHERE w.id = gone.id AND w.lease = gone.lease AND w.cursor = gone.cursor
            """,
            {
                "ids": [one.id for one in lapsed],
                "leases": [one.lease for one in lapsed],
                "cursors": [one.cursor for one in lapsed],
            },
        )

    async def take_probes(
        self, *, lease: str, lease_for: timedelta, rule: BreakerRule, latest: timedelta
    ) -> list[LeasedWebhook]:
        """Of each endpoint whose circuit was open long enough, lease one row: the probe."""
        rows = await self._db.all(
            _TAKE_PROBES,
            {
                "lease": lease,
                "lease_for": lease_for,
                "failures": rule.failures,
                "latest": latest,
                "open_longest": max(rule.longest, lease_for),
            },
        )
        return [_leased(row) for row in rows]

    async def delivered(
        self,
        hook: LeasedWebhook,
        event: Event,
        outcome: Outcome,
        *,
        rule: BreakerRule,
        lease_for: timedelta,
        until: int = 0,
    ) -> bool:
        """Move on; False when the lease went to somebody else. With `until` the lease is given
        back, as `release` does: nothing more is wanted up to there. When this closes the
        endpoint's circuit, whoever waits for it is due at once: the receiver is back."""
        values = {
            "lease_for": lease_for,
            "attempt": hook.attempts + 1,
            "failures": rule.failures,
            "until": until,
        }
        return await self._held(_DELIVERED, hook, event, outcome, values)

    async def failed(
        self,
        hook: LeasedWebhook,
        event: Event,
        outcome: Outcome,
        *,
        pause: timedelta,
        rule: BreakerRule,
    ) -> bool:
        """Try again after `pause`, and let go of the lease."""
        values = {"pause": pause, "attempt": hook.attempts + 1} | _rule(rule)
        return await self._held(_FAILED, hook, event, outcome, values)

    async def dead_letter(
        self,
        hook: LeasedWebhook,
        event: Event,
        outcome: Outcome,
        *,
        rule: BreakerRule,
        lease_for: timedelta,
    ) -> bool:
        """The last try failed: the event becomes a dead letter, and the next one has its turn."""
        values = {
            "attempt": hook.attempts + 1,
            "lease_for": lease_for,
            "config": jsonb(hook.config),
            "url": hook.config["url"],
        }
        return await self._held(_DEAD_LETTERED, hook, event, outcome, values | _rule(rule))

    async def stuck_at(
        self, hook: LeasedWebhook, types: Sequence[str]
    ) -> tuple[LeasedWebhook, Event] | None:
        """The next event that `hook` has to deliver, without its payload, and the row as it is now;
        None when there is none, or the lease went to somebody else."""
        row = await self._db.one(
            """
            SELECT w.cursor, w.attempts, e.id, e.session_id, e.seq, e.type, e.happened_at
            FROM webhooks w JOIN events e ON e.session_id = w.session_id AND e.seq > w.cursor
            WHERE w.id = %(id)s AND w.lease = %(lease)s
              AND (w.until IS NULL OR e.seq <= w.until)
              AND (%(types)s::text[] = '{}' OR e.type = ANY(%(types)s))
            ORDER BY e.seq LIMIT 1
            """,
            {"id": hook.id, "lease": hook.lease, "types": list(types)},
        )
        if row is None:
            return None
        event = Event(
            id=row["id"],
            session_id=row["session_id"],
            seq=row["seq"],
            type=row["type"],
            payload={},
            happened_at=row["happened_at"],
        )
        return replace(hook, cursor=row["cursor"], attempts=row["attempts"]), event

    async def release(self, hook: LeasedWebhook, dealt_with: int) -> None:
        """Give the lease back; nothing up to `dealt_with` is wanted any more. A replay that is
        through is removed."""
        await self._db.run(
            """
            WITH done AS (
                DELETE FROM webhooks WHERE id = %(id)s AND lease = %(lease)s
                       AND origin = 'replay' AND greatest(cursor, %(dealt_with)s) >= until
                RETURNING id
            )
            UPDATE webhooks SET cursor = greatest(cursor, %(dealt_with)s), lease = '',
                   lease_until = '-infinity',
                   next_try_at = greatest(next_try_at, clock_timestamp())
            WHERE id = %(id)s AND lease = %(lease)s AND id NOT IN (SELECT id FROM done)
            """,
            {"id": hook.id, "lease": hook.lease, "dealt_with": dealt_with},
        )

    async def begin_batch(self, hook: LeasedWebhook, last: int) -> bool:
        """Write down where the next batch ends; False when the lease went to somebody else."""
        touched = await self._db.run(
            """
            UPDATE webhooks SET batch_until = %(last)s WHERE id = %(id)s AND lease = %(lease)s
            """,
            {"id": hook.id, "lease": hook.lease, "last": last},
        )
        return touched > 0

    async def wait(self, hook: LeasedWebhook, pause: timedelta) -> None:
        """Give the lease back until a batch is due."""
        await self._db.run(
            """
            UPDATE webhooks SET lease = '', lease_until = '-infinity',
                   next_try_at = clock_timestamp() + %(pause)s
            WHERE id = %(id)s AND lease = %(lease)s
            """,
            {"id": hook.id, "lease": hook.lease, "pause": pause},
        )

    async def next_due(self, longest: timedelta) -> timedelta:
        """How long until the next retry, batch or probe is due; at most `longest`."""
        row = await self._db.one(
            """
            SELECT extract(epoch FROM min(at) - clock_timestamp()) AS seconds FROM (
                SELECT min(next_try_at) AS at FROM webhooks
                WHERE next_try_at > clock_timestamp()
                UNION ALL
                SELECT min(open_until) FROM webhook_breakers WHERE open_until > clock_timestamp()
            ) AS times
            """,
            {},
        )
        if row is None or row["seconds"] is None:
            return longest
        return min(longest, timedelta(seconds=max(0.0, float(row["seconds"]))))

    async def set_global(self, hooks: Sequence[Mapping[str, Any]]) -> None:
        """The endpoints of every session, as the gateway's settings have them now."""
        wanted = {str(hook["url"]): dict(hook) for hook in hooks}
        found = await self._db.all("SELECT url, config FROM global_webhooks", {})
        if wanted == {row["url"]: row["config"] for row in found}:
            return
        # Sent as one: who makes a session waits for the table, but not for this process.
        async with (
            self._db.connection() as connection,
            connection.pipeline(),
            connection.transaction(),
        ):
            # One dispatcher at a time; session_exclusive against sessions made meanwhile.
            await connection.execute("LOCK TABLE global_webhooks IN EXCLUSIVE MODE")
            await connection.execute("DELETE FROM global_webhooks")
            for url, config in wanted.items():
                await connection.execute(
                    "INSERT INTO global_webhooks (url, config) VALUES (%s, %s)",
                    (url, jsonb(config)),
                )
            await connection.execute("SELECT sync_webhooks(id) FROM sessions")

    async def forget_deliveries(self, older_than: timedelta) -> int:
        """Shorten the delivery log."""
        return await self._db.run(
            "DELETE FROM webhook_deliveries WHERE tried_at < clock_timestamp() - %(age)s",
            {"age": older_than},
        )

    # -- for callers ----------------------------------------------------------------------------

    async def states(self, session_id: int) -> list[WebhookState]:
        """The session's endpoints, those of the gateway's settings and running replays too."""
        rows = await self._db.all(_STATES, {"id": session_id})
        return [
            WebhookState(
                key=row["key"],
                origin=row["origin"],
                url=row["url"],
                events=tuple(str(name) for name in row["config"].get("events") or ()),
                cursor=row["cursor"],
                until=row["until"],
                behind=row["behind"],
                attempts=row["attempts"],
                next_try_at=row["retry_at"],
                error=row["error"],
                open_until=row["opened_until"],
                dead_letters=row["dead_letters"],
            )
            for row in rows
        ]

    async def config(self, session_id: int, key: str) -> dict[str, Any] | None:
        """WAHA's `WebhookConfig` of one endpoint."""
        row = await self._db.one(
            "SELECT config FROM webhooks WHERE session_id = %(id)s AND key = %(key)s",
            {"id": session_id, "key": key},
        )
        return dict(row["config"]) if row else None

    async def replay(
        self, session_id: int, key: str, *, replay_key: str, after: int, until: int
    ) -> bool:
        """Deliver the events above `after` and up to `until` once more to the endpoint `key`;
        False when the session has no such endpoint, neither now nor in its dead letters."""
        touched = await self._db.run(
            """
            INSERT INTO webhooks (session_id, key, origin, url, target, config, cursor, until)
            SELECT %(id)s, %(replay)s, 'replay', url,
                   encode(sha256(convert_to(url, 'UTF8')), 'hex'), config, %(after)s, %(until)s
            FROM (
                SELECT 1 AS rank, url, config FROM webhooks
                WHERE session_id = %(id)s AND key = %(key)s AND origin <> 'replay'
                UNION ALL
                SELECT 2, url, config FROM webhook_dead_letters
                WHERE session_id = %(id)s AND key = %(key)s
            ) AS known ORDER BY rank LIMIT 1
            """,
            {
                "id": session_id,
                "key": key,
                "replay": replay_key,
                "after": after,
                "until": until,
            },
        )
        return touched > 0

    async def deliveries(
        self, session_id: int, *, key: str | None, before: int | None, limit: int
    ) -> list[Delivery]:
        """The delivery log, newest first."""
        rows = await self._db.all(
            """
            SELECT id, key, seq, event_id, type, attempt, status, error, took, tried_at
            FROM webhook_deliveries
            WHERE session_id = %(id)s AND (%(key)s::text IS NULL OR key = %(key)s)
              AND (%(before)s::bigint IS NULL OR id < %(before)s)
            ORDER BY id DESC LIMIT %(limit)s
            """,
            {"id": session_id, "key": key, "before": before, "limit": limit},
        )
        return [Delivery(**row) for row in rows]

    async def _held(
        self,
        query: LiteralString,
        hook: LeasedWebhook,
        event: Event,
        outcome: Outcome,
        more: Mapping[str, Any],
    ) -> bool:
        row = await self._db.one(
            query,
            {
                "id": hook.id,
                "lease": hook.lease,
                "seq": event.seq,
                "event": event.id,
                "type": event.type,
                "status": outcome.status,
                "error": printable(outcome.error),
                "took": outcome.took,
                **more,
            },
        )
        return bool(row and row["held"])


def _rule(rule: BreakerRule) -> dict[str, Any]:
    return {"failures": rule.failures, "open_for": rule.pause, "open_longest": rule.longest}


def _leased(row: Row) -> LeasedWebhook:
    metadata = row["session_config"].get("metadata")
    return LeasedWebhook(
        id=row["id"],
        session_id=row["session_id"],
        key=row["key"],
        origin=row["origin"],
        target=row["target"],
        config=row["config"],
        cursor=row["cursor"],
        until=row["until"],
        batch_until=row["batch_until"],
        attempts=row["attempts"],
        lease=row["lease"],
        tenant=row["tenant"],
        source=EventSource(
            name=row["name"],
            me=me_of(row["me"]),
            metadata=metadata if isinstance(metadata, dict) else {},
        ),
    )


#: What is put off for longer than anything ever is, was put off before the clock was set back.
_DUE = """
    w.cursor < least(s.event_seq, w.until) AND w.lease = ''
    AND w.next_try_at NOT BETWEEN clock_timestamp() AND clock_timestamp() + %(latest)s
"""
_LEASE = """
    UPDATE webhooks w SET lease = %(lease)s, lease_for = %(lease_for)s,
           lease_until = clock_timestamp() + %(lease_for)s
    FROM due JOIN sessions ON sessions.id = due.session_id
    WHERE w.id = due.id
    RETURNING w.id, w.session_id, w.key, w.origin, w.target, w.config, w.cursor, w.until,
              w.batch_until, w.attempts, w.lease, sessions.name, sessions.tenant, sessions.me,
              sessions.config AS session_config
"""


def _sql(*parts: LiteralString) -> LiteralString:
    return "".join(parts)


_TAKE = _sql(
    """
    WITH candidates AS (
        SELECT w.id, row_number() OVER (PARTITION BY w.target ORDER BY w.next_try_at, w.id) AS nth,
               coalesce((%(room)s::jsonb->>w.target)::integer, %(room_each)s) AS room
        FROM webhooks w
        JOIN session_streams s ON s.session_id = w.session_id
        LEFT JOIN webhook_breakers b ON b.target = w.target
        WHERE (b.target IS NULL OR b.failures < %(failures)s)
          AND (%(sessions)s::bigint[] IS NULL OR w.session_id = ANY(%(sessions)s))
          AND """,
    _DUE,
    """
    ), due AS (
        SELECT w.id, w.session_id FROM webhooks w
        WHERE w.id IN (SELECT id FROM candidates WHERE nth <= room)
          -- Once more: it may have been taken and dealt with since the candidates were read.
          AND w.lease = ''
          AND w.next_try_at NOT BETWEEN clock_timestamp() AND clock_timestamp() + %(latest)s
        ORDER BY w.next_try_at, w.id LIMIT %(most)s FOR UPDATE OF w SKIP LOCKED
    )
""",
    _LEASE,
)

_TAKE_PROBES = _sql(
    """
    WITH probes AS (
        UPDATE webhook_breakers b SET open_until = clock_timestamp() + %(lease_for)s
        WHERE b.failures >= %(failures)s
          AND b.open_until NOT BETWEEN clock_timestamp()
                                   AND clock_timestamp() + %(open_longest)s
          AND EXISTS (SELECT 1 FROM webhooks w
                      JOIN session_streams s ON s.session_id = w.session_id
                      WHERE w.target = b.target AND """,
    _DUE,
    """)
        RETURNING b.target
    ), due AS (
        SELECT w.id, w.session_id FROM probes
        CROSS JOIN LATERAL (
            SELECT w.id, w.session_id FROM webhooks w
            JOIN session_streams s ON s.session_id = w.session_id
            WHERE w.target = probes.target AND """,
    _DUE,
    """
            ORDER BY w.next_try_at, w.id LIMIT 1 FOR UPDATE OF w SKIP LOCKED
        ) AS w
    )
""",
    _LEASE,
)

_LOG = """
    log AS (
        INSERT INTO webhook_deliveries (session_id, key, seq, event_id, type, attempt, status,
                                        error, took)
        SELECT session_id, key, %(seq)s, %(event)s, %(type)s, %(attempt)s, %(status)s, %(error)s,
               %(took)s
        FROM mine
    )
"""
_BREAK = """
    breaker AS (
        INSERT INTO webhook_breakers AS b (target, failures, open_until)
        SELECT target, 1, CASE WHEN %(failures)s <= 1 THEN clock_timestamp() + %(open_for)s
                               ELSE '-infinity' END
        FROM mine
        ON CONFLICT (target) DO UPDATE SET failures = b.failures + 1,
            open_until = CASE WHEN b.failures + 1 < %(failures)s THEN '-infinity' ELSE
                clock_timestamp() + least(%(open_longest)s,
                    %(open_for)s * power(2, least(b.failures + 1 - %(failures)s, 16)))
            END
    )
"""
_HELD = " SELECT EXISTS (SELECT 1 FROM mine) AS held"

_DELIVERED = _sql(
    """
    WITH mine AS (
        UPDATE webhooks SET cursor = greatest(%(seq)s, %(until)s::bigint), attempts = 0, error = '',
               lease = CASE %(until)s::bigint WHEN 0 THEN lease ELSE '' END,
               lease_until = CASE %(until)s::bigint
                   WHEN 0 THEN clock_timestamp() + %(lease_for)s ELSE '-infinity' END,
               next_try_at = CASE %(until)s::bigint
                   WHEN 0 THEN next_try_at ELSE greatest(next_try_at, clock_timestamp()) END
        WHERE id = %(id)s AND lease = %(lease)s AND cursor < %(seq)s
        RETURNING session_id, key, target, origin
    ), broken AS (
        SELECT target, failures FROM webhook_breakers
        WHERE target IN (SELECT target FROM mine) AND failures > 0 FOR UPDATE
    ), closed AS (
        UPDATE webhook_breakers SET failures = 0, open_until = '-infinity'
        WHERE target IN (SELECT target FROM broken)
    ), woken AS (
        UPDATE webhooks SET next_try_at = clock_timestamp() WHERE id IN (
            SELECT id FROM webhooks
            WHERE target IN (SELECT target FROM broken WHERE failures >= %(failures)s)
              AND attempts > 0 AND next_try_at > clock_timestamp()
            -- A row that somebody holds may wait for the breaker's, which is locked here.
            FOR UPDATE SKIP LOCKED)
    ), resolved AS (
        UPDATE webhook_dead_letters d SET resolved_at = clock_timestamp() FROM mine
        WHERE mine.origin = 'replay' AND d.session_id = mine.session_id
          -- The endpoint's key, which stays when its URL changes.
          AND d.key = split_part(mine.key, '/', 2)
          AND d.seq = %(seq)s AND d.resolved_at IS NULL
    ), """,
    _LOG,
    _HELD,
)

_FAILED = _sql(
    """
    WITH mine AS (
        UPDATE webhooks SET attempts = attempts + 1, error = %(error)s,
               next_try_at = clock_timestamp() + %(pause)s, lease = '', lease_until = '-infinity'
        WHERE id = %(id)s AND lease = %(lease)s AND cursor < %(seq)s
        RETURNING session_id, key, target
    ), """,
    _LOG,
    ",",
    _BREAK,
    _HELD,
)

_DEAD_LETTERED = _sql(
    """
    WITH mine AS (
        UPDATE webhooks SET cursor = %(seq)s, attempts = 0, error = %(error)s,
               next_try_at = clock_timestamp(), lease_until = clock_timestamp() + %(lease_for)s
        WHERE id = %(id)s AND lease = %(lease)s AND cursor < %(seq)s
        RETURNING session_id, key, target, origin
    ), dead AS (
        INSERT INTO webhook_dead_letters AS d (session_id, key, url, config, seq, event_id, type,
                                               attempts, status, error)
        SELECT session_id,
               -- A replay's key is gone with the replay: the letter is the endpoint's.
               CASE origin WHEN 'replay' THEN split_part(key, '/', 2) ELSE key END,
               %(url)s, %(config)s, %(seq)s, %(event)s, %(type)s, %(attempt)s, %(status)s,
               %(error)s
        FROM mine
        ON CONFLICT (session_id, key, seq) DO UPDATE SET
            attempts = d.attempts + excluded.attempts, status = excluded.status,
            error = excluded.error, died_at = clock_timestamp(), resolved_at = NULL
    ), """,
    _LOG,
    ",",
    _BREAK,
    _HELD,
)

_STATES = """
    SELECT w.key, w.origin, w.url, w.config, w.cursor, w.until, w.attempts, w.error,
           greatest(0, coalesce(least(s.event_seq, w.until), 0) - w.cursor) AS behind,
           CASE WHEN w.attempts > 0 THEN w.next_try_at END AS retry_at,
           CASE WHEN b.open_until > clock_timestamp() THEN b.open_until END AS opened_until,
           (SELECT count(*) FROM webhook_dead_letters d WHERE d.session_id = w.session_id
               AND d.key = w.key AND d.resolved_at IS NULL) AS dead_letters
    FROM webhooks w
    LEFT JOIN session_streams s ON s.session_id = w.session_id
    LEFT JOIN webhook_breakers b ON b.target = w.target
    WHERE w.session_id = %(id)s ORDER BY w.id
"""
