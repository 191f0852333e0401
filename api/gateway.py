"""What the HTTP front asks of the cluster: verbs of `client.Gateway`, which `ScopedGateway`
narrows to what one caller may see. They raise `cluster.domain.errors.GatewayError` and nothing else
on purpose."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Protocol

from client.chatwoot import Chatwoot
from client.keys import Keys
from client.nodes import Nodes
from client.sandbox import SandboxControl
from client.session import SessionClient
from client.vitals import ClusterVitals
from cluster.domain.device_source import DeviceSource
from cluster.domain.principal import Action
from cluster.domain.session import SessionRecord
from cluster.domain.vitals import SessionVitals, TrafficMinute
from cluster.stores.apps import AppRecord
from cluster.stores.dead_letters import DeadLetter

__all__ = ["Apps", "Gateway", "GatewayFactory"]


class Apps(Protocol):
    """Apps of a tenant's sessions."""

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
        """With the secret of its key. Raises `SessionNotFound`, `Conflict`."""

    async def list(self, session: str) -> Sequence[AppRecord]:
        """Of one session. Raises `SessionNotFound`."""

    async def get(self, app_id: str) -> AppRecord:
        """Raises `NotFound`, as the others do."""

    async def update(
        self,
        app_id: str,
        config: dict[str, Any],
        *,
        enabled: bool = True,
        key_actions: frozenset[Action] | None = None,
    ) -> AppRecord:
        """Its key follows."""

    async def purge(self, app_id: str) -> AppRecord:
        """Forget what it keeps of its own."""

    async def delete(self, app_id: str) -> None:
        """With its key."""


class Gateway(Protocol):
    """The cluster, for one tenant."""

    @property
    def keys(self) -> Keys:
        """API keys and the audit log."""

    @property
    def apps(self) -> Apps:
        """Apps of sessions."""

    def chatwoot(
        self, session: str, app_id: str, *, caller: str = "", controls: bool = True
    ) -> Chatwoot:
        """What Chatwoot sends about that app, by that key."""

    @property
    def nodes(self) -> Nodes:
        """Drains."""

    @property
    def cluster(self) -> ClusterVitals:
        """How the nodes are doing."""

    @property
    def sandbox(self) -> SandboxControl:
        """The virtual phones, in sandbox mode."""

    def for_tenant(self, tenant: str) -> Gateway:
        """The same for another tenant."""

    def session(self, name: str) -> SessionClient:
        """Raises `Invalid` when `name` is no session name; asks nobody whether it exists."""

    async def create_session(
        self, name: str, config: dict[str, Any], *, start: bool = True
    ) -> SessionRecord:
        """Raises `Conflict` when the name is taken."""

    async def import_session(
        self,
        name: str,
        source: DeviceSource,
        *,
        config: dict[str, Any] | None = None,
        start: bool = True,
    ) -> SessionRecord:
        """Raises `Invalid` when the source is not what it claims, `Conflict` when the name or the
        device is taken."""

    async def list_sessions(self, *, all: bool = False) -> Sequence[SessionRecord]:
        """Without `all` those that are not STOPPED."""

    async def smaller_promises(self, records: Sequence[SessionRecord]) -> Sequence[dict[str, str]]:
        """Of each session what its library does not keep: name → what holds instead."""

    async def vitals(
        self, names: Sequence[str] | None = None, *, limit: int = 500
    ) -> Sequence[SessionVitals]:
        """How the sessions are doing, or those with these names; by name."""

    async def traffic(self, names: Sequence[str] | None = None) -> Sequence[TrafficMinute]:
        """The last hour by minute."""

    async def dead_letters(
        self,
        names: Sequence[str] | None = None,
        *,
        before: int | None = None,
        limit: int = 100,
    ) -> Sequence[tuple[str, DeadLetter]]:
        """Those that wait, newest first, with the session's name; ids below `before`."""

    def follow_all(
        self, *, types: Sequence[str] = (), heartbeat: float = 15.0, base_url: str = ""
    ) -> AsyncIterator[dict[str, Any] | None]:
        """Events of every session from now on; None once that stands, and when nothing happened
        for `heartbeat` seconds."""

    async def health(self) -> dict[str, dict[str, Any]]:
        """Per store `{"ok": true, …}`."""

    async def ownerless(self) -> int:
        """How many sessions of all that are to run nobody owns at the moment."""

    async def library(self) -> list[dict[str, Any]]:
        """What the WhatsApp libraries of the cluster's processes keep, each kind once:
        `{"version": …, "machine": …, "kept": […], "smaller": {…}}`."""

    async def version(self) -> dict[str, str]:
        """Versions by distribution: `{"whatsapp-session-gateway": "0.1.0", "ray": …}`"""

    async def metrics(self) -> bytes:
        """The cluster's figures in Prometheus' text form."""

    async def environment(self, *, all: bool = False) -> dict[str, str]:
        """Settings by environment variable, secrets masked; with `all` defaults too."""

    async def close(self) -> None: ...


#: Makes the gateway of one replica; called once, when the application starts.
GatewayFactory = Callable[[], Gateway]
