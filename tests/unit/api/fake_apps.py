"""Apps in memory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from fake_keys import FakeKeys

from cluster.domain.errors import Conflict, NotFound
from cluster.stores.apps import AppRecord


@dataclass
class FakeApps:
    """Of one tenant."""

    keys: FakeKeys
    records: dict[str, AppRecord] = field(default_factory=dict)

    async def create(
        self, session: str, app: str, config: dict[str, Any], **asked: Any
    ) -> tuple[AppRecord, str]:
        app_id = asked["app_id"] or f"app_{len(self.records)}"
        if app_id in self.records:
            raise Conflict("there is an app with this id already", field="id")
        key, secret = None, ""
        if asked["key_actions"] is not None:
            key, secret = await self.keys.create(session=session, actions=asked["key_actions"])
        self.records[app_id] = AppRecord(
            id=app_id,
            tenant="default",
            session=session,
            session_id=1,
            app=app,
            enabled=asked["enabled"],
            config=config,
            key_id=key.id if key else None,
            key_hint=key.hint if key else None,
        )
        return self.records[app_id], secret

    async def list(self, session: str) -> Any:
        return [one for one in self.records.values() if one.session == session]

    async def get(self, app_id: str) -> AppRecord:
        if app_id not in self.records:
            raise NotFound("there is no such app")
        return self.records[app_id]

    async def update(self, app_id: str, config: dict[str, Any], **asked: Any) -> AppRecord:
        self.records[app_id] = replace(
            await self.get(app_id), config=config, enabled=asked["enabled"]
        )
        return self.records[app_id]

    async def purge(self, app_id: str) -> AppRecord:
        return await self.get(app_id)

    async def delete(self, app_id: str) -> None:
        await self.get(app_id)
        del self.records[app_id]
