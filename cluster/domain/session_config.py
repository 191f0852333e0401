"""A session's configuration, as callers post it and archives carry it, in WAHA's shape."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import httpx
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

__all__ = ["SessionConfig", "WebhookConfig"]


class _Part(BaseModel):
    """What WAHA does not know is ignored, as WAHA does."""

    model_config = ConfigDict(extra="ignore", validate_by_name=True, validate_by_alias=True)


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


class ProxyConfig(_Part):
    server: str = Field(min_length=1, max_length=255, examples=["localhost:3128"])
    username: str | None = None
    password: str | None = None


class HmacConfiguration(_Part):
    key: str | None = Field(None, examples=["your-secret-key"])


class RetriesConfiguration(_Part):
    delaySeconds: float | None = Field(None, ge=0, le=86_400, examples=[2])
    attempts: int | None = Field(None, ge=0, le=1_000_000, examples=[15])
    policy: str | None = Field(None, pattern="^(linear|exponential|constant)$")


class CustomHeader(_Part):
    name: str = Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$", examples=["X-My-Header"])
    value: str = Field(
        pattern=r"^[\t\x20-\x7e]{0,4096}$", description="ASCII, on one line.", examples=["Value"]
    )


class WebhookConfig(_Part):
    url: HttpUrl = Field(examples=["https://example.com/hook"])
    events: list[str] = Field(examples=[["message", "session.status"]])
    hmac: HmacConfiguration | None = None
    retries: RetriesConfiguration | None = None
    customHeaders: list[CustomHeader] | None = None


class IgnoreConfig(_Part):
    status: bool | None = None
    groups: bool | None = None
    channels: bool | None = None
    broadcast: bool | None = None


class ClientConfig(_Part):
    deviceName: str | None = None
    browserName: str | None = None


class PacingConfig(_Part):
    """Sending limits of one session; what is missing comes from the gateway's settings."""

    enabled: bool | None = Field(None, description="Off: nothing is held back.")
    profile: Literal["careful", "normal", "trusted"] | None = None
    messagesPerMinute: float | None = Field(None, gt=0, le=6000)
    burst: int | None = Field(None, ge=1, le=1000)
    newChatsPerDay: int | None = Field(None, ge=1, le=1_000_000)
    jitter: float | None = Field(None, ge=0, le=1)
    typing: bool | None = Field(None, description="Show as typing before a text.")
    warmUpDays: float | None = Field(None, ge=0, le=365)


class SessionConfig(_Part):
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
