"""The apps of a tenant's sessions."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from client.keys import Keys
from cluster.domain.errors import Conflict, NotFound
from cluster.domain.principal import Action
from cluster.stores import Stores
from cluster.stores.apps import AppRecord

__all__ = ["Apps"]


class Apps:
    """An app belongs to a session and goes with it; so does the key that was made for it."""

    def __init__(self, stores: Callable[[], Awaitable[Stores]], tenant: str) -> None:
        self._stores = stores
        self._tenant = tenant
        self._keys = Keys(stores, tenant)

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
        """A new app; with `key_actions` it has a key of its own, whose secret is shown here and
        nowhere else. Raises `SessionNotFound`, `Conflict`."""
        stores = await self._stores()
        record = await stores.sessions.get(self._tenant, session)
        app_id = app_id or f"app_{secrets.token_hex(13)}"
        made = await stores.apps.create(
            self._tenant,
            app_id,
            record.id,
            app=app,
            enabled=enabled,
            config=config,
        )
        if key_actions is None:
            return made, ""
        # After the app: what is cut off between leaves no key that nobody looks after.
        key, secret = await self._keys.create(session=session, actions=key_actions, active=enabled)
        if not await stores.apps.set_key(self._tenant, app_id, key.id):
            await self._keys.delete(key.id)
            raise NotFound("the app was deleted meanwhile")
        return await stores.apps.get(self._tenant, app_id), secret

    async def list(self, session: str) -> Sequence[AppRecord]:
        """Of one session. Raises `SessionNotFound`."""
        stores = await self._stores()
        record = await stores.sessions.get(self._tenant, session)
        return await stores.apps.list(record.id)

    async def get(self, app_id: str) -> AppRecord:
        """Raises `NotFound`."""
        return await (await self._stores()).apps.get(self._tenant, app_id)

    async def update(
        self,
        app_id: str,
        config: dict[str, Any],
        *,
        enabled: bool = True,
        key_actions: frozenset[Action] | None = None,
    ) -> AppRecord:
        """Its key follows. Raises `NotFound`, and `Conflict` when the key is gone."""
        stores = await self._stores()
        before = await stores.apps.get(self._tenant, app_id)
        if key_actions is not None:
            if before.key_id is None or before.key_hint is None:
                raise Conflict("the app's key is gone: delete the app and create it anew")
            await self._keys.update(
                before.key_id,
                admin=False,
                session=before.session,
                actions=key_actions,
                active=enabled,
            )
        return await stores.apps.update(self._tenant, app_id, enabled=enabled, config=config)

    async def purge(self, app_id: str) -> AppRecord:
        """Forget what it keeps of its own. Raises `NotFound`."""
        stores = await self._stores()
        record = await stores.apps.get(self._tenant, app_id)
        await stores.chatwoot.forget(record)
        return record

    async def delete(self, app_id: str) -> None:
        """With its key. Raises `NotFound`."""
        await (await self._stores()).apps.delete(self._tenant, app_id)
