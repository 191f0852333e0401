"""The gateway as a whole: sessions, health, version."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from types import TracebackType
from typing import Any, Self

from pydantic import ValidationError

from client.apps import Apps
from client.chatwoot import Chatwoot
from client.exposition import exposition
from client.follow import follow_sessions
from client.keys import Keys
from client.known_sessions import KnownSessions
from client.live import SharedListener
from client.nodes import Nodes
from client.routing import Router, ensure_ray
from client.sandbox import SandboxControl
from client.session import MOVE_TIMEOUT, SessionClient
from client.vitals import ClusterVitals, session_vitals
from client.workshop import Workshop
from cluster.domain.device_source import DeviceSource
from cluster.domain.errors import Invalid
from cluster.domain.session import DesiredState, SessionRecord, SessionStatus, check_session_name
from cluster.domain.session_config import SessionConfig
from cluster.domain.vitals import SessionVitals, TrafficMinute
from cluster.effective_settings import effective
from cluster.local_calls import LocalCalls
from cluster.media.addresses import allowed_networks, permitted_proxy
from cluster.settings import Settings
from cluster.stores import Stores
from cluster.stores.dead_letters import DeadLetter

__all__ = ["Gateway", "connect"]

DISTRIBUTION = "whatsapp-session-gateway"


def connect(settings: Settings | None = None, *, tenant: str = "default") -> Gateway:
    """The gateway of the cluster that `RAY_ADDRESS` (or this machine) names.

    Connects on first use: `await connect().session("alice").send_text(...)`. Use it as an async
    context manager, or `await gateway.close()`, to let go of its connections.
    """
    return Gateway(settings or Settings(), tenant=tenant)


class Gateway:
    """Sessions of one tenant. Belongs to the event loop of its first use."""

    def __init__(self, settings: Settings, *, tenant: str) -> None:
        self.tenant = tenant
        self.settings = settings
        self.router = Router(settings, self._find)
        #: To sessions on the same node.
        self.local = LocalCalls(settings.data_dir)
        self.known = KnownSessions()
        self._stores: Stores | None = None
        self._opening = asyncio.Lock()
        self.workshop = Workshop(settings.media)
        self.live = SharedListener(settings.stores)

    async def __aenter__(self) -> Self:
        await self.stores()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the stores. The Ray connection of the process stays."""
        await self.live.close()
        await self.local.close()
        if self._stores is not None:
            await self._stores.close()
            self._stores = None

    async def stores(self) -> Stores:
        """The open stores (for the verbs). Raises `Unavailable` when PostgreSQL is unreachable."""
        if self._stores is None:
            async with self._opening:
                if self._stores is None:
                    await asyncio.to_thread(ensure_ray, self.settings)
                    self._stores = await Stores.open(self.settings)
        return self._stores

    async def _find(self, session_id: int) -> SessionRecord:
        stores = await self.stores()
        record = await stores.sessions.get_by_id(session_id)
        self.known.keep(record)
        return record

    def for_tenant(self, tenant: str) -> Gateway:
        """The same gateway for another tenant, over the same connections; not to be closed."""
        return self if tenant == self.tenant else _OfTenant(self, tenant)

    @property
    def keys(self) -> Keys:
        """The tenant's API keys and audit log."""
        return Keys(self.stores, self.tenant)

    @property
    def apps(self) -> Apps:
        """Apps of the tenant's sessions."""
        return Apps(self.stores, self.tenant)

    def chatwoot(
        self, session: str, app_id: str, *, caller: str = "", controls: bool = True
    ) -> Chatwoot:
        """What Chatwoot sends about that app, by that key."""
        name = check_session_name(session)
        return Chatwoot(self, name, app_id, caller=caller, controls=controls)

    @property
    def nodes(self) -> Nodes:
        """The cluster's nodes: which there are, and drains."""
        return Nodes(self.stores)

    @property
    def cluster(self) -> ClusterVitals:
        """How the nodes are doing, and who owned which session when."""
        return ClusterVitals(self.stores)

    @property
    def sandbox(self) -> SandboxControl:
        """The sandbox's control API; refuses unless the gateway is in sandbox mode."""
        return SandboxControl(self.settings.whatsapp)

    def session(self, name: str) -> SessionClient:
        """The verbs of one session. Raises `Invalid` on a name that cannot be one."""
        return SessionClient(self, name)

    async def create_session(
        self, name: str, config: dict[str, Any] | None = None, *, start: bool = True
    ) -> SessionRecord:
        """Create a session and, unless `start` is false, start it. Raises `Conflict`."""
        check_session_name(name)
        await self.check_config(config or {})
        stores = await self.stores()
        desired = DesiredState.RUNNING if start else DesiredState.STOPPED
        await stores.sessions.create(self.tenant, name, config or {}, desired)
        session = self.session(name)
        return await session.start() if start else await session.info()

    async def check_config(self, config: dict[str, Any]) -> None:
        """Raises `Invalid` for a proxy that a session may not lead its traffic to. When the session
        starts it is looked at again."""
        try:
            proxy = SessionConfig.read(config).proxy
        except ValidationError as error:
            raise Invalid("the proxy is not host:port", field="config.proxy.server") from error
        if proxy is not None:
            await permitted_proxy(proxy.url, allowed_networks(self.settings.media.fetch_allow))

    async def import_session(
        self,
        name: str,
        source: DeviceSource,
        *,
        config: dict[str, Any] | None = None,
        start: bool = True,
    ) -> SessionRecord:
        """Make a session of a device that was linked elsewhere, where it must not run any more.
        Without `config` an archive's own is used. Raises `Invalid`, `Conflict`."""
        check_session_name(name)
        await self.check_config(config or {})
        await self.stores()
        await self.router.supervise(
            lambda s: s.bring.remote(self.tenant, name, config or {}, source),
            timeout=MOVE_TIMEOUT,
            repeatable=False,
        )
        session = self.session(name)
        return await session.start() if start else await session.info()

    async def list_sessions(self, *, all: bool = False) -> list[SessionRecord]:
        """The tenant's sessions by name; stopped ones only with `all`."""
        stores = await self.stores()
        records = await stores.sessions.list(self.tenant)
        return [r for r in records if all or r.status is not SessionStatus.STOPPED]

    async def smaller_promises(self, records: Sequence[SessionRecord]) -> list[dict[str, str]]:
        """Of each session what its library does not keep (name → what holds instead, and why), as
        its process reported lately; empty without one, and without Redis."""
        stores = await self.stores()
        statuses = await stores.cache.status_many([record.id for record in records])
        return [
            dict(status.get("smaller") or {}) if status and record.node else {}
            for status, record in zip(statuses, records, strict=True)
        ]

    async def vitals(
        self, names: Sequence[str] | None = None, *, limit: int = 500
    ) -> list[SessionVitals]:
        """How the tenant's sessions are doing, or those with these names; by name."""
        return await session_vitals(await self.stores(), self.tenant, names, limit)

    async def traffic(self, names: Sequence[str] | None = None) -> list[TrafficMinute]:
        """What went through them in the last hour, by minute; or through those with these names."""
        return await (await self.stores()).vitals.traffic(self.tenant, names)

    async def dead_letters(
        self,
        names: Sequence[str] | None = None,
        *,
        before: int | None = None,
        limit: int = 100,
    ) -> Sequence[tuple[str, DeadLetter]]:
        """Events of any of them that a webhook did not take in all its tries and that wait, newest
        first, with the session's name; with ids below `before`."""
        stores = await self.stores()
        return await stores.dead_letters.of_tenant(self.tenant, names, before=before, limit=limit)

    async def follow_all(
        self, *, types: Sequence[str] = (), heartbeat: float = 15.0, base_url: str = ""
    ) -> AsyncIterator[dict[str, Any] | None]:
        """Events of every session from now on, each session's in order. See `Events.follow`."""
        stores = await self.stores()
        base_url = base_url or self.settings.base_url
        async for event in follow_sessions(
            stores, self.tenant, self.live, types, heartbeat, base_url
        ):
            yield event

    async def health(self) -> dict[str, dict[str, Any]]:
        """State of each store: `{"postgresql": {"ok": true, "latency_ms": 1.2}, …}`."""
        stores = await self.stores()
        return await stores.health()

    async def ownerless(self) -> int:
        """How many sessions of all that are to run nobody owns at the moment."""
        return await (await self.stores()).ownership.ownerless()

    async def library(self) -> list[dict[str, Any]]:
        """What the libraries of the cluster's processes keep, each kind once:
        `{"version": "0.5.2", "machine": "linux/aarch64", "kept": […], "smaller": {…}}`."""
        return await (await self.stores()).cache.library()

    async def metrics(self) -> bytes:
        """Figures of the whole cluster in Prometheus' text form."""
        return await exposition(await self.stores())

    async def environment(self, *, all: bool = False) -> dict[str, str]:
        """The settings of this process by environment variable, secrets masked; those that have
        their defaults only with `all`."""
        return effective(self.settings, all=all)

    async def version(self) -> dict[str, str]:
        """Versions of the gateway and of what it rests on."""
        found = {}
        for name in (DISTRIBUTION, "ray", "neonize"):
            try:
                found[name] = version(name)
            except PackageNotFoundError:
                found[name] = "0.0.0"
        return found


class _OfTenant(Gateway):
    """What another gateway is connected to, for a tenant of its own."""

    def __init__(self, whole: Gateway, tenant: str) -> None:
        self.tenant = tenant
        self.settings = whole.settings
        self.router = whole.router
        self.local = whole.local
        self.known = whole.known
        self.workshop = whole.workshop
        self.live = whole.live
        self._whole = whole

    async def stores(self) -> Stores:
        return await self._whole.stores()

    async def close(self) -> None:
        """The whole one is closed by who opened it."""
