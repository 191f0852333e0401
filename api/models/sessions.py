"""Bodies of the sessions group."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self

import httpx
from pydantic import AfterValidator, ConfigDict, Field, StringConstraints

from api.models import WahaModel
from api.params import SessionName
from cluster.domain.session import DesiredState, Me, SessionRecord, SessionStatus

__all__ = [
    "DeprecatedLogout",
    "DeprecatedStart",
    "DeprecatedStop",
    "MeInfo",
    "SessionConfig",
    "SessionCreateRequest",
    "SessionInfo",
    "SessionUpdateRequest",
]


def _with_a_host(url: str) -> str:
    """Raises `ValueError` where no request could be made to it."""
    try:
        found = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ValueError(f"not a URL: {error}") from error
    if not found.host:
        raise ValueError("a URL without a host")
    return url


HttpUrl = Annotated[
    str,
    StringConstraints(pattern=r"^https?://[^\s/]", max_length=2048),
    AfterValidator(_with_a_host),
]
_ANY_NAME = Field(description="Session name (id)", examples=["default"])


class ProxyConfig(WahaModel):
    server: str = Field(min_length=1, max_length=255, examples=["localhost:3128"])
    username: str | None = None
    password: str | None = None


class HmacConfiguration(WahaModel):
    key: str | None = Field(None, examples=["your-secret-key"])


class RetriesConfiguration(WahaModel):
    delaySeconds: float | None = Field(None, ge=0, le=86_400, examples=[2])
    attempts: int | None = Field(None, ge=0, le=1_000_000, examples=[15])
    policy: str | None = Field(None, pattern="^(linear|exponential|constant)$")


class CustomHeader(WahaModel):
    name: str = Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$", examples=["X-My-Header"])
    value: str = Field(
        pattern=r"^[\t\x20-\x7e]{0,4096}$", description="ASCII, on one line.", examples=["Value"]
    )


class WebhookConfig(WahaModel):
    url: HttpUrl = Field(examples=["https://example.com/hook"])
    events: list[str] = Field(examples=[["message", "session.status"]])
    hmac: HmacConfiguration | None = None
    retries: RetriesConfiguration | None = None
    customHeaders: list[CustomHeader] | None = None


class IgnoreConfig(WahaModel):
    status: bool | None = None
    groups: bool | None = None
    channels: bool | None = None
    broadcast: bool | None = None


class ClientConfig(WahaModel):
    deviceName: str | None = None
    browserName: str | None = None


class PacingConfig(WahaModel):
    """Sending limits of one session; what is missing comes from the gateway's settings."""

    enabled: bool | None = Field(None, description="Off: nothing is held back.")
    profile: Literal["careful", "normal", "trusted"] | None = None
    messagesPerMinute: float | None = Field(None, gt=0, le=6000)
    burst: int | None = Field(None, ge=1, le=1000)
    newChatsPerDay: int | None = Field(None, ge=1, le=1_000_000)
    jitter: float | None = Field(None, ge=0, le=1)
    typing: bool | None = Field(None, description="Show as typing before a text.")
    warmUpDays: float | None = Field(None, ge=0, le=365)


class SessionConfig(WahaModel):
    """A session's configuration. Settings of engines (`noweb`, `gows`, `webjs`) are kept as they
    came."""

    model_config = ConfigDict(extra="allow")

    metadata: dict[str, Any] | None = Field(
        None,
        description="Told with every event of the session.",
        examples=[{"user.id": "123", "user.email": "email@example.com"}],
    )
    proxy: ProxyConfig | None = None
    debug: bool | None = None
    ignore: IgnoreConfig | None = Field(None, description="Events of such chats are not told.")
    client: ClientConfig | None = Field(None, description="How the phone shows the linked device.")
    webhooks: list[WebhookConfig] | None = None
    pacing: PacingConfig | None = Field(
        None, description="Ours: how fast the session sends, see docs/security.md."
    )

    def stored(self) -> dict[str, Any]:
        """What the gateway keeps: only what the caller set."""
        return self.model_dump(exclude_none=True, exclude_unset=True)


class SessionCreateRequest(WahaModel):
    name: SessionName | None = Field(
        None, description="Session name (id); made up when missing", examples=["default"]
    )
    start: bool | None = Field(True, description="Start session after creation")
    config: SessionConfig | None = None


class SessionUpdateRequest(WahaModel):
    config: SessionConfig | None = None


class DeprecatedStart(WahaModel):
    name: SessionName = _ANY_NAME
    config: SessionConfig | None = None


class DeprecatedStop(WahaModel):
    name: SessionName = _ANY_NAME
    logout: bool | None = Field(False, description="Log out and delete the session as well.")


class DeprecatedLogout(WahaModel):
    name: SessionName = _ANY_NAME


class MeInfo(WahaModel):
    """The account behind a session."""

    id: str = Field(examples=["11111111111@c.us"])
    lid: str | None = Field(None, examples=["123123@lid"])
    jid: str | None = Field(
        None, description="Id with device number", examples=["11111111111:3@s.whatsapp.net"]
    )
    pushName: str = Field(examples=["Alice"])

    @classmethod
    def of(cls, me: Me) -> Self:
        return cls(id=me.id, lid=me.lid or None, jid=me.jid or None, pushName=me.push_name)


class Timestamps(WahaModel):
    activity: int | None = Field(description="Last change of the session, Unix time in ms.")


class EngineInfo(WahaModel):
    engine: str = Field("GOWS", description="whatsmeow, as in WAHA's GOWS.")


class SessionGateway(WahaModel):
    """What this gateway knows of a session beyond WAHA."""

    node: str | None = Field(description="Ray node (hex id) of the owner; null without one.")
    epoch: int = Field(description="Fencing token: grows with every start.")
    actor: str = Field(description="Name of the Ray actor that hosts the session.")
    desired: DesiredState = Field(description="What the supervisor brings the session to.")
    reason: str | None = Field(description="Why the status is FAILED, for people.")
    exportedAt: datetime | None = Field(
        None, description="Its device was handed out then: it does not start here any more."
    )
    createdAt: datetime
    updatedAt: datetime


class SessionInfo(WahaModel):
    """A session: WAHA's keys, and ours under `gateway`."""

    name: str = _ANY_NAME
    status: SessionStatus
    config: dict[str, Any] | None = Field(description="As it was set; see `SessionConfig`.")
    me: MeInfo | None = None
    apps: list[Any] | None = None
    assignedWorker: str | None = Field(None, description="Node of the owner.")
    presence: str | None = None
    timestamps: Timestamps
    engine: EngineInfo = EngineInfo()
    gateway: SessionGateway

    @classmethod
    def of(cls, record: SessionRecord) -> Self:
        return cls(
            name=record.name,
            status=record.status,
            config=record.config,
            me=MeInfo.of(record.me) if record.me else None,
            assignedWorker=record.node or None,
            timestamps=Timestamps(activity=int(record.updated_at.timestamp() * 1000)),
            gateway=SessionGateway(
                node=record.node or None,
                epoch=record.epoch,
                actor=record.actor_name,
                desired=record.desired,
                reason=record.reason or None,
                exportedAt=record.exported_at,
                createdAt=record.created_at,
                updatedAt=record.updated_at,
            ),
        )
