"""Apps as one caller sees them: those of sessions that are not its own are nowhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from api.gateway import Apps
from cluster.domain.errors import Forbidden, NotFound, SessionNotFound
from cluster.domain.principal import Action, Principal
from cluster.domain.session import check_session_name
from cluster.stores.apps import AppRecord

__all__ = ["ScopedApps"]

#: What an app does by itself, whatever its key may: all that is said goes to the bridge's
#: installation, callers are answered.
_DOES = {
    "chatwoot": frozenset({Action.READ, Action.SEND}),
    "calls": frozenset({Action.SEND}),
}


class ScopedApps:
    """`Apps` of the caller's sessions."""

    def __init__(self, whole: Apps, principal: Principal) -> None:
        self._apps = whole
        self._principal = principal

    async def create(
        self,
        session: str,
        app: str,
        config: dict[str, Any],
        *,
        app_id: str | None = None,
        enabled: bool = True,
        key_actions: frozenset[Action] | None = None,
    ) -> tuple[AppRecord, str]:
        """Raises `Forbidden` for an app that could do more than its maker."""
        self._seen(session)
        self._granted(app, config, key_actions)
        return await self._apps.create(
            session, app, config, app_id=app_id, enabled=enabled, key_actions=key_actions
        )

    async def list(self, session: str) -> Sequence[AppRecord]:
        self._seen(session)
        return await self._apps.list(session)

    async def get(self, app_id: str) -> AppRecord:
        found = await self._apps.get(app_id)
        if not self._principal.sees(found.session):
            raise NotFound("there is no such app")
        return found

    async def update(
        self,
        app_id: str,
        config: dict[str, Any],
        *,
        enabled: bool = True,
        key_actions: frozenset[Action] | None = None,
    ) -> AppRecord:
        self._granted((await self.get(app_id)).app, config, key_actions)
        return await self._apps.update(app_id, config, enabled=enabled, key_actions=key_actions)

    async def purge(self, app_id: str) -> AppRecord:
        await self.get(app_id)
        return await self._apps.purge(app_id)

    async def delete(self, app_id: str) -> None:
        await self.get(app_id)
        await self._apps.delete(app_id)

    def _seen(self, session: str) -> None:
        check_session_name(session)
        if not self._principal.sees(session):
            raise SessionNotFound(session)

    def _granted(
        self, app: str, config: dict[str, Any], key_actions: frozenset[Action] | None
    ) -> None:
        takes = (key_actions or frozenset()) | _DOES.get(app, frozenset())
        if (config.get("commands") or {}).get("server"):
            # Agents start, stop and link the session then.
            takes |= {Action.CONTROL}
        if missing := sorted(action for action in takes if not self._principal.may({action})):
            raise Forbidden(
                f"the app could do more than your key: it takes {', '.join(missing)}",
                takes=", ".join(missing),
            )
