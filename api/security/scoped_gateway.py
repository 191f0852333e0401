"""The gateway as one caller sees it. Every route gets its sessions here and nowhere else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from api.gateway import Apps, Gateway
from api.security.scoped_apps import ScopedApps
from client.chatwoot import Chatwoot
from client.keys import Keys
from client.nodes import Nodes
from client.sandbox import SandboxControl
from client.session import SessionClient
from client.vitals import ClusterVitals
from cluster.domain.device_source import DeviceSource
from cluster.domain.errors import Forbidden, SessionNotFound
from cluster.domain.principal import OPERATOR_TENANT, Action, Principal
from cluster.domain.session import SessionRecord, check_session_name
from cluster.domain.vitals import SessionVitals, TrafficMinute
from cluster.stores.dead_letters import DeadLetter

__all__ = ["ScopedGateway"]


class ScopedGateway:
    """A `Gateway` of the caller's tenant and sessions."""

    def __init__(self, whole: Gateway, principal: Principal) -> None:
        self._principal = principal
        self._whole = whole
        self._tenants = (
            whole if principal.tenant == OPERATOR_TENANT else whole.for_tenant(principal.tenant)
        )

    @property
    def keys(self) -> Keys:
        """Raises `Forbidden` unless the caller manages its tenant."""
        if not self._principal.manages:
            raise Forbidden
        return self._tenants.keys

    @property
    def apps(self) -> Apps:
        return ScopedApps(self._tenants.apps, self._principal)

    def chatwoot(
        self, session: str, app_id: str, *, caller: str = "", controls: bool = True
    ) -> Chatwoot:
        """Raises `SessionNotFound`, in the words of a session that is nowhere."""
        check_session_name(session)
        if not self._principal.sees(session):
            raise SessionNotFound(session)
        return self._tenants.chatwoot(
            session,
            app_id,
            caller=self._principal.who,
            controls=controls and self._principal.may({Action.CONTROL}),
        )

    @property
    def nodes(self) -> Nodes:
        """Raises `Forbidden` unless the caller runs the gateway; so do `cluster` and `sandbox`."""
        return self._operated().nodes

    @property
    def cluster(self) -> ClusterVitals:
        return self._operated().cluster

    @property
    def sandbox(self) -> SandboxControl:
        return self._operated().sandbox

    def for_tenant(self, tenant: str) -> Gateway:
        """Raises `Forbidden` unless it is the caller's, or the caller runs the gateway."""
        if tenant == self._principal.tenant:
            return self
        if not self._principal.operates:
            raise Forbidden("only the operator sees other tenants")
        return self._whole.for_tenant(tenant)

    def session(self, name: str) -> SessionClient:
        """Raises `SessionNotFound`, in the words of a session that is nowhere."""
        check_session_name(name)
        if not self._principal.sees(name):
            raise SessionNotFound(name)
        return self._tenants.session(name)

    async def create_session(
        self, name: str, config: dict[str, Any], *, start: bool = True
    ) -> SessionRecord:
        """Raises `Forbidden` unless the caller may create this one."""
        check_session_name(name)
        if not (self._principal.admin and self._principal.sees(name)):
            raise Forbidden("creating sessions takes an admin's key or token")
        return await self._tenants.create_session(name, config, start=start)

    async def import_session(
        self,
        name: str,
        source: DeviceSource,
        *,
        config: dict[str, Any] | None = None,
        start: bool = True,
    ) -> SessionRecord:
        """Raises `Forbidden` unless the caller may create this one."""
        check_session_name(name)
        if not (self._principal.admin and self._principal.sees(name)):
            raise Forbidden("importing sessions takes an admin's key or token")
        return await self._tenants.import_session(name, source, config=config, start=start)

    async def list_sessions(self, *, all: bool = False) -> Sequence[SessionRecord]:
        found = await self._tenants.list_sessions(all=all)
        return [record for record in found if self._principal.sees(record.name)]

    async def smaller_promises(self, records: Sequence[SessionRecord]) -> Sequence[dict[str, str]]:
        return await self._tenants.smaller_promises(records)

    async def vitals(
        self, names: Sequence[str] | None = None, *, limit: int = 500
    ) -> Sequence[SessionVitals]:
        return await self._tenants.vitals(self._of_mine(names), limit=limit)

    async def traffic(self, names: Sequence[str] | None = None) -> Sequence[TrafficMinute]:
        return await self._tenants.traffic(self._of_mine(names))

    async def dead_letters(
        self,
        names: Sequence[str] | None = None,
        *,
        before: int | None = None,
        limit: int = 100,
    ) -> Sequence[tuple[str, DeadLetter]]:
        return await self._tenants.dead_letters(self._of_mine(names), before=before, limit=limit)

    async def follow_all(
        self, *, types: Sequence[str] = (), heartbeat: float = 15.0, base_url: str = ""
    ) -> AsyncIterator[dict[str, Any] | None]:
        async for event in self._tenants.follow_all(
            types=types, heartbeat=heartbeat, base_url=base_url
        ):
            if event is None or self._principal.sees(event["session"]):
                yield event

    async def health(self) -> dict[str, dict[str, Any]]:
        return await self._whole.health()

    async def ownerless(self) -> int:
        return await self._whole.ownerless()

    async def library(self) -> list[dict[str, Any]]:
        return await self._whole.library()

    async def version(self) -> dict[str, str]:
        return await self._whole.version()

    async def metrics(self) -> bytes:
        """Raises `Forbidden` unless the caller runs the gateway."""
        return await self._operated().metrics()

    async def environment(self, *, all: bool = False) -> dict[str, str]:
        """Raises `Forbidden` unless the caller runs the gateway."""
        return await self._operated().environment(all=all)

    async def close(self) -> None:
        """The whole one is closed by who opened it."""

    def _of_mine(self, names: Sequence[str] | None) -> Sequence[str] | None:
        """Those of them that the caller sees; None: every one of the tenant."""
        seen = self._principal.sessions
        if seen is None:
            return names
        return sorted(seen if names is None else seen.intersection(names))

    def _operated(self) -> Gateway:
        if not self._principal.operates:
            raise Forbidden
        return self._whole
