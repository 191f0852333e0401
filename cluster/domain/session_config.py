"""A session's configuration, as callers post it and archives carry it, in WAHA's shape."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self
from urllib.parse import quote, urlsplit

import httpx
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

__all__ = ["BROWSERS", "ClientConfig", "IgnoreConfig", "SessionConfig", "WebhookConfig"]

#: Ways to speak to a proxy that the library and the uploads have in common.
_PROXIES = {"http", "socks5"}
_PRINTABLE = r"^[^\x00-\x1f\x7f]+$"
#: As phones show them, by WhatsApp's own names (waCompanionReg.proto, DeviceProps.PlatformType).
BROWSERS = {
    "Chrome": "CHROME",
    "Firefox": "FIREFOX",
    "IE": "IE",
    "Opera": "OPERA",
    "Safari": "SAFARI",
    "Edge": "EDGE",
    "Desktop": "DESKTOP",
    "iPad": "IPAD",
}


def _browser(name: Any) -> Any:
    """By whatever case."""
    known = {one.casefold(): one for one in BROWSERS}
    return known.get(name.casefold(), name) if isinstance(name, str) else name


Browser = Annotated[
    Literal["Chrome", "Firefox", "IE", "Opera", "Safari", "Edge", "Desktop", "iPad"],
    BeforeValidator(_browser),
]


#: Webhooks of one session.
MOST_WEBHOOKS = 32
#: Characters of a line, and bytes of JSON: metadata goes along with every event of the session, the
#: configuration with every session of a list.
_LINE, _MAX_METADATA, _MAX_CONFIG = 1024, 16_384, 262_144


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


def _proxy_server(server: str) -> str:
    """Raises `ValueError` for what no connection can go through."""
    if not re.fullmatch(r"[\x21-\x7e]+", server):
        raise ValueError("a proxy is host:port, without spaces")
    scheme, given, place = server.rpartition("://")
    if given and scheme.lower() not in _PROXIES:
        raise ValueError("a proxy is host:port, http://host:port or socks5://host:port")
    found = urlsplit(f"//{place}")
    if found.path or found.query or found.fragment or found.username is not None:
        raise ValueError("a proxy is host:port; name and password are fields of their own")
    try:
        port = found.port
    except ValueError as error:
        raise ValueError("a proxy's port is a number up to 65535") from error
    if not found.hostname or not port:
        raise ValueError("a proxy is host:port")
    _with_a_host(f"http://{place}")
    return server


def _always(wanted: bool | None) -> bool | None:
    if wanted is False:
        raise ValueError("it is kept here always; HISTORY_RETENTION_DAYS says for how long")
    return wanted


#: What is done whatever is said: `false` would be a promise that is not kept.
Always = Annotated[bool | None, AfterValidator(_always)]


class ProxyConfig(_Part):
    """All of the session's traffic with WhatsApp goes through it, files included."""

    server: Annotated[str, AfterValidator(_proxy_server)] = Field(
        min_length=1,
        max_length=255,
        description="`host:port`, also with `http://` or `socks5://` in front.",
        examples=["localhost:3128"],
    )
    username: str | None = Field(None, max_length=255)
    password: str | None = Field(None, max_length=255)

    @model_validator(mode="after")
    def _both(self) -> Self:
        if self.password and not self.username:
            raise ValueError("a password needs a username")
        return self

    @property
    def url(self) -> str:
        """With the name and password in it: not for logs."""
        scheme, _, place = self.server.rpartition("://")
        login = quote(self.username or "", safe="")
        if self.password:
            login += f":{quote(self.password, safe='')}"
        return f"{scheme.lower() or 'http'}://{login}{'@' if login else ''}{place}"


class HmacConfiguration(_Part):
    key: str | None = Field(None, max_length=_LINE, examples=["your-secret-key"])


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
    events: list[Annotated[str, Field(max_length=64)]] = Field(
        max_length=64, examples=[["message", "session.status"]]
    )
    hmac: HmacConfiguration | None = None
    retries: RetriesConfiguration | None = None
    customHeaders: list[CustomHeader] | None = Field(None, max_length=32)


class IgnoreConfig(_Part):
    status: bool | None = Field(None, description="Stories.")
    groups: bool | None = None
    channels: bool | None = None
    broadcast: bool | None = Field(None, description="Broadcast lists.")

    @classmethod
    def of(cls, config: dict[str, Any]) -> IgnoreConfig:
        """Of a kept configuration; what cannot be read ignores nothing."""
        try:
            return cls.model_validate(config.get("ignore") or {})
        except ValidationError:
            return cls()

    def ignores(self, chat: str) -> bool:
        """`chat`: a JID."""
        if chat == "status@broadcast":
            return bool(self.status)
        server = chat.rpartition("@")[2]
        return bool(
            {"g.us": self.groups, "newsletter": self.channels, "broadcast": self.broadcast}.get(
                server
            )
        )


class ClientConfig(_Part):
    deviceName: str | None = Field(
        None, min_length=1, max_length=64, pattern=_PRINTABLE, examples=["MacOS"]
    )
    browserName: Browser | None = Field(None, examples=["Firefox"])


class _OfEngines(_Part):
    """Settings of WAHA's engines, kept as they came. What is done whatever they say may not be
    switched off; the rest is of other engines: without effect, as with WAHA's GOWS."""

    model_config = ConfigDict(extra="allow")


class _GowsStorage(_OfEngines):
    messages: Always = None
    groups: Always = None
    chats: Always = None
    labels: Always = None
    contacts: Always = None
    messageSecrets: Always = None


class GowsConfig(_OfEngines):
    storage: _GowsStorage | None = None


class _NowebStore(_OfEngines):
    enabled: Always = None
    fullSync: bool | None = None


class NowebConfig(_OfEngines):
    store: _NowebStore | None = None
    markOnline: bool | None = None


class WebjsConfig(_OfEngines):
    tagsEventsOn: bool | None = Field(
        None, description="Without effect: the events that it is there for are always emitted."
    )


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
    """A session's configuration."""

    model_config = ConfigDict(extra="allow")

    metadata: dict[str, Any] | None = Field(
        None,
        description="Told with every event of the session.",
        examples=[{"user.id": "123", "user.email": "email@example.com"}],
    )
    proxy: ProxyConfig | None = None
    debug: bool | None = Field(
        None, description="Log what the library says of this session, without its contents."
    )
    ignore: IgnoreConfig | None = Field(
        None, description="What arrives in such chats is neither emitted nor kept."
    )
    client: ClientConfig | None = Field(
        None, description="How the phone shows the device, from its next linking on."
    )
    gows: GowsConfig | None = None
    noweb: NowebConfig | None = None
    webjs: WebjsConfig | None = None
    webhooks: list[WebhookConfig] | None = Field(
        None, max_length=MOST_WEBHOOKS, description="Each event is posted to each that wants it."
    )
    pacing: PacingConfig | None = Field(
        None, description="Ours: how fast the session sends, see docs/security.md."
    )

    @classmethod
    def read(cls, config: Mapping[str, Any]) -> SessionConfig:
        """A kept configuration; parts that an older version let pass are left out, but for the
        proxy: without the one that was meant nothing may go out. Raises `ValidationError`."""
        known = ("proxy", "debug", "ignore", "client")
        kept = {name: config[name] for name in known if config.get(name) is not None}
        for name in ("debug", "ignore", "client"):
            try:
                cls.model_validate({name: kept.get(name)})
            except ValidationError:
                del kept[name]
        return cls.model_validate(kept)

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        for what, value, most in (
            ("metadata", self.metadata, _MAX_METADATA),
            ("the configuration", self.model_dump(exclude_unset=True), _MAX_CONFIG),
        ):
            if value is not None and len(json.dumps(value)) > most:
                raise ValueError(f"{what} is longer than {most} bytes of JSON")
        return self

    def stored(self) -> dict[str, Any]:
        """What the gateway keeps: only what the caller set."""
        return self.model_dump(exclude_none=True, exclude_unset=True)
