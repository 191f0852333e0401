"""What the HTTP front needs of the cluster: the verbs of `cluster.client`, as protocols.

The routes depend on these and not on Ray, so that they run against any implementation.
Every verb raises `cluster.domain.errors.GatewayError` and nothing else on purpose.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta
from typing import Any, Protocol

from api.ports_cluster import ClusterPort, NodesPort, SandboxPort
from api.ports_conversation import ConversationPort
from api.ports_events import EventsPort, WebhooksPort
from api.ports_keys import KeysPort
from api.ports_subjects import SubjectsPort
from cluster.domain.device_source import DeviceSource
from cluster.domain.message import MessageFilter, MessagePage, SentMessage
from cluster.domain.message_ref import MessageRef
from cluster.domain.session import Me, SessionRecord
from cluster.domain.vitals import SessionVitals

__all__ = ["Gateway", "GatewayFactory", "NumberStatus", "QrCode", "SessionClient"]


class QrCode(Protocol):
    """A QR code for pairing, while it lasts."""

    @property
    def text(self) -> str:
        """What the QR image encodes."""

    @property
    def expires_in(self) -> timedelta:
        """WhatsApp replaces the code after this long."""


class NumberStatus(Protocol):
    """Whether a phone number has WhatsApp."""

    @property
    def exists(self) -> bool:
        """True when the number is registered."""

    @property
    def chat_id(self) -> str:
        """WAHA's id to write to, `4915100001@c.us`; empty when the number is not registered."""


class SessionClient(SubjectsPort, ConversationPort, Protocol):
    """One session, by name."""

    @property
    def events(self) -> EventsPort: ...

    @property
    def webhooks(self) -> WebhooksPort: ...

    async def info(self) -> SessionRecord:
        """Raises `SessionNotFound`."""

    async def update(self, config: dict[str, Any]) -> SessionRecord:
        """Replace the configuration; it counts from the next start on."""

    async def delete(self) -> None:
        """Log out, stop and forget the session."""

    async def start(self) -> SessionRecord: ...

    async def stop(self) -> SessionRecord: ...

    async def restart(self) -> SessionRecord: ...

    async def logout(self) -> SessionRecord: ...

    async def export(self, *, passphrase: str | None = None, key: str | None = None) -> bytes:
        """The stopped session's device as an archive; it does not start here any more."""

    async def take_back(self) -> SessionRecord:
        """The session may start here again after an export."""

    async def me(self) -> Me | None:
        """The account behind the session; None while it is not paired."""

    async def qr(self) -> QrCode:
        """Raises `SessionNotWorking` (expected SCAN_QR_CODE)."""

    async def request_code(self, phone_number: str) -> str:
        """The pairing code (`ABCD-EFGH`) to type on the phone. `phone_number`: digits."""

    async def send_text(
        self,
        chat_id: str,
        text: str,
        *,
        reply_to: str | MessageRef | None = None,
        mentions: Sequence[str] = (),
        link_preview: bool = True,
        link_preview_high_quality: bool = False,
        preview: dict[str, Any] | None = None,
        idempotency_key: str | None = None,
        message_id: str | None = None,
    ) -> SentMessage:
        """Accept a text for sending. `chat_id` and `mentions` are JIDs (or `all`)."""

    async def page(self, wanted: MessageFilter, /) -> MessagePage:
        """A part of the history, and where the next one begins."""

    async def check_number(self, phone: str) -> NumberStatus: ...


class Gateway(Protocol):
    """The cluster, for one tenant."""

    @property
    def keys(self) -> KeysPort:
        """API keys and the audit log."""

    @property
    def nodes(self) -> NodesPort:
        """Drains."""

    @property
    def cluster(self) -> ClusterPort:
        """How the nodes are doing."""

    @property
    def sandbox(self) -> SandboxPort:
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

    async def vitals(
        self, names: Sequence[str] | None = None, *, limit: int = 500
    ) -> Sequence[SessionVitals]:
        """How the sessions are doing, or those with these names; by name."""

    def follow_all(
        self, *, types: Sequence[str] = (), beat: float = 15.0, base_url: str = ""
    ) -> AsyncIterator[dict[str, Any] | None]:
        """Events of every session from now on; None when nothing happened for `beat` seconds."""

    async def health(self) -> dict[str, dict[str, Any]]:
        """Per store `{"ok": true, …}`."""

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
