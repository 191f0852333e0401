"""Apps of sessions: which, for whom, how configured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cluster.domain.errors import Conflict, NotFound
from cluster.stores.database import Database, Row, jsonb
from cluster.stores.notifier import EventNotifier

__all__ = ["AppRecord", "AppStore"]

#: Of one session.
_MOST = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class AppRecord:
    """One app of one session."""

    id: str
    tenant: str
    #: Its name.
    session: str
    session_id: int
    #: `mcp`, `chatwoot`, `calls`
    app: str
    enabled: bool
    #: Its secrets too.
    config: dict[str, Any]
    #: Of the key that was made for it; None without one.
    key_id: str | None
    #: The beginning of that key; None when it is gone.
    key_hint: str | None


class AppStore:
    """Table `apps`."""

    def __init__(self, database: Database, notifier: EventNotifier) -> None:
        self._db = database
        self._notifier = notifier

    async def create(
        self,
        tenant: str,
        app_id: str,
        session_id: int,
        *,
        app: str,
        enabled: bool,
        config: dict[str, Any],
    ) -> AppRecord:
        """Raises `Conflict`; a session has at most one of those that take events (0090, 0095)."""
        made = await self._db.run(
            """
            INSERT INTO apps (tenant, id, session_id, app, enabled, config)
            SELECT %(tenant)s, %(id)s, %(session)s, %(app)s, %(enabled)s, %(config)s
            WHERE (SELECT count(*) FROM apps WHERE session_id = %(session)s) < %(most)s
            ON CONFLICT DO NOTHING
            """,
            {
                "tenant": tenant,
                "id": app_id,
                "session": session_id,
                "app": app,
                "enabled": enabled,
                "config": jsonb(config),
                "most": _MOST,
            },
        )
        if not made:
            present = await self.list(session_id)
            if len(present) >= _MOST:
                raise Conflict(f"the session has {_MOST} apps already: delete some")
            if app != "mcp" and any(one.app == app for one in present):
                raise Conflict(f"the session has a {app} app already", field="app")
            raise Conflict("there is an app with this id already", field="id")
        self._notifier.endpoints_changed(session_id)
        return await self.get(tenant, app_id)

    async def get(self, tenant: str, app_id: str) -> AppRecord:
        """Raises `NotFound`."""
        rows = await self._db.all(
            _SELECT + "WHERE a.tenant = %(tenant)s AND a.id = %(id)s",
            {"tenant": tenant, "id": app_id},
        )
        if not rows:
            raise NotFound("there is no such app")
        return _record(rows[0])

    async def list(self, session_id: int) -> Sequence[AppRecord]:
        """The session's, oldest first."""
        rows = await self._db.all(
            _SELECT + "WHERE a.session_id = %(session)s ORDER BY a.created_at, a.id",
            {"session": session_id},
        )
        return [_record(row) for row in rows]

    async def update(
        self, tenant: str, app_id: str, *, enabled: bool, config: dict[str, Any]
    ) -> AppRecord:
        """Raises `NotFound`."""
        await self._db.run(
            """
            UPDATE apps SET enabled = %(enabled)s, config = %(config)s
            WHERE tenant = %(tenant)s AND id = %(id)s
            """,
            {"tenant": tenant, "id": app_id, "enabled": enabled, "config": jsonb(config)},
        )
        found = await self.get(tenant, app_id)
        self._notifier.endpoints_changed(found.session_id)
        return found

    async def set_key(self, tenant: str, app_id: str, key_id: str) -> bool:
        """Note the key that was made for it; False when the app is gone."""
        touched = await self._db.run(
            "UPDATE apps SET key_id = %(key)s WHERE tenant = %(tenant)s AND id = %(id)s",
            {"tenant": tenant, "id": app_id, "key": key_id},
        )
        return touched > 0

    async def delete(self, tenant: str, app_id: str) -> None:
        """Raises `NotFound`."""
        touched = await self._db.run(
            "DELETE FROM apps WHERE tenant = %(tenant)s AND id = %(id)s",
            {"tenant": tenant, "id": app_id},
        )
        if not touched:
            raise NotFound("there is no such app")


_SELECT = """
    SELECT a.id, a.tenant, s.name AS session, a.session_id, a.app, a.enabled, a.config, a.key_id,
           k.hint AS key_hint
    FROM apps a JOIN sessions s ON s.id = a.session_id LEFT JOIN api_keys k ON k.id = a.key_id
"""


def _record(row: Row) -> AppRecord:
    return AppRecord(**row)
