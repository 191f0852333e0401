"""Every setting of the gateway, typed, from the environment or `.env`.

Groups read their own prefix (`LEASE_TTL_SECONDS`, `HTTP_PORT`); the stores keep the names that
operators already use (`DATABASE_URL`, `REDIS_URL`, `S3_ENDPOINT`). Secrets are `SecretStr`: they
never appear in a `repr`, a log or an error.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from limits import parse
from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from cluster.domain.pacing import PROFILES, PacePolicy
from cluster.domain.start_pause import StartPolicy

_ENV_FILE = os.environ.get("GATEWAY_ENV_FILE", ".env")


def _group(prefix: str) -> SettingsConfigDict:
    return SettingsConfigDict(
        env_prefix=prefix,
        env_file=_ENV_FILE,
        # `NAME=` in a file or a manifest means "not set".
        env_ignore_empty=True,
        extra="ignore",
    )


class StoreSettings(BaseSettings):
    """Where PostgreSQL, Redis and the S3 server are."""

    model_config = _group("")

    database_url: SecretStr = Field(
        SecretStr("postgresql://gateway:gateway@127.0.0.1:5432/gateway"),
        description="PostgreSQL connection URL (libpq form).",
    )
    redis_url: SecretStr = Field(
        SecretStr("redis://127.0.0.1:6379/0"), description="Redis or Valkey URL."
    )
    s3_endpoint: str = Field("127.0.0.1:9000", description="host:port of the S3 server.")
    s3_access_key: SecretStr = Field(SecretStr(""), description="S3 access key.")
    s3_secret_key: SecretStr = Field(SecretStr(""), description="S3 secret key.")
    s3_bucket: str = Field("gateway", description="Bucket for checkpoints and media.")
    s3_region: str = Field("us-east-1", description="S3 region.")
    s3_secure: bool = Field(False, description="Use TLS towards the S3 server.")
    database_durability: Literal["required", "relaxed"] = Field(
        "required",
        description="`required`: a PostgreSQL that loses commits in a crash, or in a failover to a "
        "replica that is not synchronous, is an error of `gateway config check`. `relaxed`: known, "
        "and a warning.",
    )
    database_pool_max: int = Field(
        10,
        ge=1,
        description="Connections per process, at most; one that hosts a single session has "
        "half, an agent three, a shared one up to 32.",
    )
    store_timeout_seconds: float = Field(5.0, gt=0, description="Bound on one store call.")

    def connections_of_host(self, sessions: int) -> int:
        """Connections of a process with so many sessions, at most: far fewer than sessions, for
        each needs one a moment at a time."""
        most = self.database_pool_max
        return -(-most // 2) if sessions == 1 else max(most, min(32, 8 + sessions // 8))

    @property
    def connections_of_agent(self) -> int:
        return min(3, self.database_pool_max)


class CheckpointSettings(BaseSettings):
    """How device stores are checkpointed and encrypted."""

    model_config = _group("CHECKPOINT_")

    keys: SecretStr = Field(
        SecretStr(""),
        description="Encryption keys, `id:base64(32 bytes)` separated by commas; the first one "
        "encrypts, all of them decrypt (rotation: put the new key in front).",
    )
    interval_seconds: float = Field(
        1.0, gt=0, description="Least time between two checkpoints of one session under load."
    )
    event_seconds: float = Field(
        60.0, ge=0, description="Least time between two `session.checkpoint` events of one session."
    )


#: Seconds that owners stay connected without PostgreSQL, on one machine.
_UNREACHABLE_SECONDS = 60.0
#: There a takeover waits for a process's end and not for a lease, which may have more patience.
_ONE_MACHINE = {
    "ttl_seconds": 5.0,
    "renew_seconds": 1.0,
    "fence_margin_seconds": 1.5,
    "kill_margin_seconds": 0.5,
}


class LeaseSettings(BaseSettings):
    """Timings of session ownership. See docs/decisions/fencing.md for why they are safe."""

    model_config = _group("LEASE_")

    ttl_seconds: float = Field(2.5, gt=0, description="A lease ends this long after its renewal.")
    renew_seconds: float = Field(0.5, gt=0, description="The owner renews this often.")
    fence_margin_seconds: float = Field(
        0.9, gt=0, description="The owner fences itself this long before its lease would end."
    )
    kill_margin_seconds: float = Field(
        0.3,
        gt=0,
        description="The kernel kills an owner that did not, this long before the end.",
    )

    grace_seconds: float | None = Field(
        None,
        ge=0,
        description="Where all nodes are on one machine, owners stay connected for so long while "
        "PostgreSQL is unreachable (SPOOL_FSYNC must be on). 0: they fence themselves. Empty: 60 "
        "with LEASE_ONE_MACHINE, else 0.",
    )
    one_machine: bool = Field(
        False,
        description="Whoever owned a session of this database ever ran on this machine: what ran "
        "before its last boot is dead, and no takeover waits for a lease. Leases are 5 s then, "
        "unless they are set. `gateway up` sets it for its own PostgreSQL.",
    )

    @model_validator(mode="after")
    def _by_place(self) -> Self:
        if self.one_machine and not self.model_fields_set & _ONE_MACHINE.keys():
            self.__dict__.update(_ONE_MACHINE)
        return self

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.kill_margin_seconds < self.fence_margin_seconds < self.ttl_seconds:
            raise ValueError("LEASE_: kill margin < fence margin < ttl must hold")
        if self.renew_seconds * 2 > self.ttl_seconds - self.fence_margin_seconds:
            raise ValueError("LEASE_: two renewals must fit before the owner fences itself")
        return self

    @property
    def ttl(self) -> timedelta:
        return timedelta(seconds=self.ttl_seconds)

    @property
    def grace(self) -> timedelta:
        seconds = _UNREACHABLE_SECONDS if self.one_machine else 0.0
        return timedelta(seconds=seconds if self.grace_seconds is None else self.grace_seconds)


class SpoolSettings(BaseSettings):
    """The local journal of received events that are not committed yet."""

    model_config = _group("SPOOL_")

    max_bytes: int = Field(64 << 20, gt=0, description="Bound per session, bytes.")
    min_free_bytes: int = Field(
        33_554_432,
        ge=0,
        description="A node with less free disk than this hands its sessions to others, and takes "
        "none.",
    )
    drain_seconds: float = Field(
        600.0,
        gt=0,
        description="How long a fenced owner waits for PostgreSQL to commit what it received.",
    )
    fsync: bool = Field(
        True,
        description="A message is acknowledged to WhatsApp when it is committed, or on the disk "
        "for good; without, the disk's cache is enough, and a loss of power loses what was not "
        "committed.",
    )


class OutboxSettings(BaseSettings):
    """Accepted messages on their way to WhatsApp."""

    model_config = _group("OUTBOX_")

    give_up_seconds: float = Field(
        86_400.0,
        gt=0,
        description="An accepted message that could not be sent for so long fails for good; "
        "until then every failure that is not WhatsApp's no is tried again.",
    )
    retention_days: float = Field(
        30.0,
        ge=0,
        description="What was sent, or failed, is kept so long in the outbox, with its id and "
        "`Idempotency-Key`: the same request later is another message. No longer than "
        "HISTORY_RETENTION_DAYS; 0: as long as that.",
    )


class WhatsAppSettings(BaseSettings):
    """The way to WhatsApp, or to the sandbox in its place."""

    model_config = _group("WHATSAPP_")

    proxy_url: str = Field("", description="HTTP proxy towards WhatsApp; empty: direct.")
    sandbox_root_key: str = Field(
        "", description="Sandbox mode: hex of the sandbox's noise root key; empty: real WhatsApp."
    )
    sandbox_ca_bundle: str = Field(
        "", description="Sandbox mode: PEM file with the system's roots and the sandbox's own."
    )
    sandbox_control_file: str = Field(
        "", description="Sandbox mode: file in which the sandbox writes its control API's address."
    )
    device_name: str = Field("Gateway", description="Name shown under linked devices.")
    connect_timeout_seconds: float = Field(30.0, gt=0, description="Bound on one connect.")
    client_version: str = Field(
        "",
        pattern=r"^(2\.3000\.\d{10})?$",
        description="Version of WhatsApp Web to present, when WhatsApp turns the library's away "
        "(405): 2.3000. and ten digits; empty: the library's own.",
    )
    library_patches_off: str = Field(
        "",
        description="Changes of the Go library that are not made, by name and with commas; all: "
        "none is made. For finding out what one of them does.",
    )
    library_accepted: str = Field(
        "",
        description="A version of the Go library that `gateway library check` found fit: it is "
        "changed like those that are known.",
    )

    @property
    def sandbox(self) -> bool:
        return bool(self.sandbox_root_key)


class PacingSettings(BaseSettings):
    """How fast a session sends, so that WhatsApp does not ban it. `config.pacing` of a session
    goes before these."""

    model_config = _group("PACING_")

    enabled: bool | None = Field(
        None, description="Unset: on, but not towards the sandbox, which bans nobody."
    )
    profile: Literal["careful", "normal", "trusted"] = Field(
        "normal", description="Where the figures that are not set come from."
    )
    messages_per_minute: float | None = Field(
        None, gt=0, description="Messages of a session, on average (profiles: 8, 20, 60)."
    )
    burst: int | None = Field(
        None, ge=1, description="So many follow each other at once (profiles: 3, 5, 20)."
    )
    new_chats_per_day: int | None = Field(
        None,
        ge=1,
        description="People written to in 24 h with whom nothing was exchanged before (profiles: "
        "50, 200, 1000).",
    )
    jitter: float | None = Field(
        None, ge=0, le=1, description="Part of the pauses that is chance (profiles: 0.5)."
    )
    typing: bool = Field(
        True, description="Show as typing before a text, by its length, for 4 s at most."
    )
    warm_up_days: float | None = Field(
        None,
        ge=0,
        description="A device gets a fifth of the figures at first, and the whole after so many "
        "days (profiles: 30, 14, 0).",
    )

    def policy(self, config: Mapping[str, Any], *, sandbox: bool) -> PacePolicy | None:
        """The limits of a session with this `config.pacing`; None: it has none.
        Raises `ValueError` when `config` is out of range."""
        set_here = {
            name: value
            for ours, name in _PACING_KEYS.items()
            if (value := config.get(ours)) is not None
        }
        # Made anew it is checked, and reads the environment again: not for nothing.
        wanted = type(self)(**self.model_dump() | set_here) if set_here else self
        if not (not sandbox if wanted.enabled is None else wanted.enabled):
            return None
        figures: dict[str, Any] = {
            name: value
            for name, value in (
                ("per_minute", wanted.messages_per_minute),
                ("burst", wanted.burst),
                ("new_chats_per_day", wanted.new_chats_per_day),
                ("jitter", wanted.jitter),
                ("warm_up_days", wanted.warm_up_days),
                ("typed_per_second", None if wanted.typing else 0.0),
            )
            if value is not None
        }
        return replace(PROFILES[wanted.profile], **figures)


#: `config.pacing` of a session, in the way of WAHA's names.
_PACING_KEYS = {
    "enabled": "enabled",
    "profile": "profile",
    "messagesPerMinute": "messages_per_minute",
    "burst": "burst",
    "newChatsPerDay": "new_chats_per_day",
    "jitter": "jitter",
    "typing": "typing",
    "warmUpDays": "warm_up_days",
}


class HttpSettings(BaseSettings):
    """The HTTP front."""

    model_config = _group("HTTP_")

    host: str = Field("127.0.0.1", description="Address that Serve listens on.")
    port: int = Field(3000, ge=0, le=65535, description="Port that Serve listens on.")
    api_key: SecretStr = Field(
        SecretStr(""), description="The admin key for `X-Api-Key`; empty refuses every request."
    )
    max_body_bytes: int = Field(
        1_048_576, gt=0, description="Largest JSON request body; media limits are their own."
    )
    tls_cert_file: str = Field(
        "", description="PEM file of the certificate chain, for TLS at Serve; empty: plain HTTP."
    )
    tls_key_file: str = Field("", description="PEM file of its private key.")
    replicas: int = Field(
        1,
        ge=1,
        description="Ingress replicas; unset: one on each machine, at least two for several.",
    )
    ingress: Literal["auto", "haproxy", "serve"] = Field(
        "auto",
        description="What listens in front of the replicas: HAProxy (on Linux it comes with Ray), "
        "Serve's own proxy, or `auto`: HAProxy where it is installed. `gateway up` and `gateway "
        "node` see to it.",
    )
    request_timeout_seconds: float = Field(60.0, gt=0, description="Bound on one request.")
    live_bytes: int = Field(
        32 << 20,
        gt=0,
        description="What may wait for one reader of a live stream: a stream of server-sent events "
        "ends after so much, a websocket that is sent more within 20 s is closed.",
    )

    @model_validator(mode="after")
    def _both_of_tls(self) -> Self:
        if bool(self.tls_cert_file) is not bool(self.tls_key_file):
            raise ValueError("HTTP_TLS_CERT_FILE and HTTP_TLS_KEY_FILE go together")
        return self

    def replicas_on(self, nodes: int, machines: int) -> int:
        """As HTTP_REPLICAS says; unsaid, one on each machine, and at least two where there are
        several nodes: the loss of a node leaves one that answers."""
        if "replicas" in self.model_fields_set:
            return self.replicas
        return max(self.replicas, machines, min(2, nodes))

    @property
    def scheme(self) -> str:
        return "https" if self.tls_cert_file else "http"

    def own_url(self, port: int) -> str:
        """Of the front at that port, from its own machine."""
        host = "127.0.0.1" if self.host in {"0.0.0.0", "::"} else self.host  # noqa: S104
        return f"{self.scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def _networks(text: str) -> list[IPv4Network | IPv6Network]:
    return [ip_network(part.strip()) for part in text.split(",") if part.strip()]


class LimitSettings(BaseSettings):
    """How many requests may come: `600/minute`, `20/second`; `none`: no limit."""

    model_config = _group("LIMIT_")

    per_key: str = Field("12000/minute", description="Of one key, or one subject of tokens.")
    per_tenant: str = Field("60000/minute", description="Of one tenant.")
    per_session: str = Field("12000/minute", description="To one session.")
    per_stranger: str = Field(
        "60/minute", description="Of one address with keys that are missing or wrong."
    )
    without_redis: Literal["memory", "refuse"] = Field(
        "memory",
        description="Without Redis: each replica counts by itself, or requests are refused.",
    )

    @field_validator("per_key", "per_tenant", "per_session", "per_stranger")
    @classmethod
    def _readable(cls, text: str) -> str:
        # An empty variable is one that is not set: it means the default.
        if text.strip().lower() == "none":
            return ""
        if text:
            parse(text)
        return text


class FrontSettings(BaseSettings):
    """Who may reach the HTTP front, and from which pages."""

    model_config = _group("FRONT_")

    cors_origins: str = Field(
        "",
        description="Origins of pages that may call (`https://a.example`, comma-separated); empty: "
        "none, `*`: any.",
    )
    keys_in_addresses: Literal["narrow", "any"] = Field(
        "narrow",
        description="Which keys may be sent as `?x-api-key=` with GET: those that read one session "
        "or only link it, or any. WAHA's dashboard sends its own key so.",
    )
    allow: str = Field(
        "", description="Networks that may call at all, comma-separated; empty: any."
    )
    control_allow: str = Field(
        "",
        description="Networks that may use keys, the audit log, server and node paths, and the "
        "operator's key; empty: any.",
    )
    trusted_proxies: str = Field(
        "",
        description="Networks of proxies whose `X-Forwarded-For` is believed.",
    )
    production: bool = Field(
        False, description="Refuse to come up with what `gateway config check` calls an error."
    )
    hsts_seconds: int = Field(
        0, ge=0, description="`Strict-Transport-Security`; set it behind TLS only. 0: not sent."
    )

    @model_validator(mode="after")
    def _readable(self) -> Self:
        for text in (self.allow, self.control_allow, self.trusted_proxies):
            _networks(text)
        return self

    def networks(
        self, name: Literal["allow", "control_allow", "trusted_proxies"]
    ) -> list[IPv4Network | IPv6Network]:
        """One of the lists of networks."""
        return _networks(getattr(self, name))


class JwtSettings(BaseSettings):
    """Bearer tokens that callers may send instead of a key."""

    model_config = _group("JWT_")

    secret: SecretStr = Field(
        SecretStr(""), description="Verifies HS256; 32 characters and more. Empty: not taken."
    )
    jwks: str = Field(
        "", description="File or URL of the key set that verifies RS256 and ES256; empty: none."
    )
    jwks_seconds: float = Field(300.0, gt=0, description="The key set is read this often.")
    issuer: str = Field("", description="`iss` that a token must have.")
    audience: str = Field("", description="`aud` that a token must have.")
    leeway_seconds: float = Field(
        30.0, ge=0, le=300, description="Difference of clocks that is forgiven."
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        secret = self.secret.get_secret_value()
        if secret and len(secret) < 32:
            raise ValueError("JWT_SECRET needs 32 characters and more")
        if (secret or self.jwks) and not (self.issuer and self.audience):
            raise ValueError("JWT_SECRET and JWT_JWKS need JWT_ISSUER and JWT_AUDIENCE")
        return self


class MediaSettings(BaseSettings):
    """Attachments: sizes, times, and what may be fetched from where."""

    model_config = _group("MEDIA_")

    max_bytes: int = Field(
        134_217_728, gt=0, description="Largest attachment, however it is given."
    )
    inline_max_bytes: int = Field(
        188_743_680, gt=0, description="Largest request body with an attachment as base64 in it."
    )
    fetch_timeout_seconds: float = Field(
        60.0, gt=0, description="Bound on fetching an attachment from a URL."
    )
    fetch_allow: str = Field(
        "",
        description="Networks (`10.1.0.0/16`, comma-separated) that URLs of callers may lead to "
        "although they are not public.",
    )
    link_previews: bool = Field(
        True, description="Look at the pages that texts link to, for their previews."
    )
    convert_timeout_seconds: float = Field(
        180.0, gt=0, description="Bound on converting or looking at one attachment."
    )
    lifetime_seconds: float = Field(
        604_800.0, ge=0, description="Stored attachments are kept this long; 0: for ever."
    )
    download: Literal["lazy", "eager"] = Field(
        "lazy",
        description="When attachments of received messages are downloaded from WhatsApp: on the "
        "first request for the file, or as they arrive.",
    )
    public_url: str = Field(
        "",
        description="How callers and the receivers of events reach the gateway, for links to "
        "files; empty: as they did, and for webhooks and sinks `localhost`.",
    )


class EventSettings(BaseSettings):
    """The log of events."""

    model_config = _group("EVENTS_")

    retention_seconds: float = Field(
        1_209_600.0,
        gt=0,
        description="Events are kept this long; those a webhook, sink or dead letter still needs, "
        "longer.",
    )
    engine: bool = Field(
        False,
        description="Keep `engine.event` for every session: all that the library says. Without it "
        "only for sessions with a webhook that names it.",
    )


class HistorySettings(BaseSettings):
    """The history of messages."""

    model_config = _group("HISTORY_")

    retention_days: float = Field(
        0.0, ge=0, description="Messages are kept this long; 0: for ever. Chats and contacts stay."
    )
    retention_batch: int = Field(
        1000, ge=1, description="How many old messages are deleted in one transaction."
    )
    retention_every_seconds: float = Field(
        3600.0, gt=0, description="How often old messages are looked for."
    )


class WebhookSettings(BaseSettings):
    """How events are delivered to webhooks."""

    model_config = _group("WEBHOOK_")

    dispatchers: int = Field(2, ge=0, description="Dispatcher actors in the cluster.")
    concurrency: int = Field(128, ge=1, description="POSTs under way per dispatcher.")
    concurrency_per_endpoint: int = Field(
        16, ge=1, description="Of those to one URL. Events of one session always go one by one."
    )
    timeout_seconds: float = Field(10.0, gt=0, description="Bound on one POST as a whole.")
    poll_seconds: float = Field(
        5.0, gt=0, description="Look for undelivered events this often when no notification comes."
    )
    longest_pause_seconds: float = Field(
        600.0, gt=0, description="Bound on the pause between two tries, whatever the policy."
    )
    breaker_failures: int = Field(
        5, ge=1, description="So many failures in a row of one URL open its circuit breaker."
    )
    breaker_pause_seconds: float = Field(
        5.0, gt=0, description="An open circuit is tried again after this; it doubles each time."
    )
    breaker_longest_seconds: float = Field(60.0, gt=0, description="Bound on that pause.")
    log_seconds: float = Field(
        259_200.0, gt=0, description="The log of deliveries is kept this long."
    )
    allow: str = Field(
        "",
        description="Networks (`10.1.0.0/16`, comma-separated) that webhooks may lead to although "
        "they are not public; `0.0.0.0/0,::/0` allows all.",
    )
    allow_tenants: str = Field(
        "*",
        description="Tenants whose webhooks may lead there, with commas in between; `*`: all. "
        "`./gateway up` allows this machine to the operator's tenant `default` only.",
    )

    def allowed_to(self, tenant: str) -> str:
        """`allow`, where the tenant has it."""
        tenants = {name.strip() for name in self.allow_tenants.split(",")}
        return self.allow if {"*", tenant} & tenants else ""


class GlobalWebhookSettings(BaseSettings):
    """One webhook for every session, by the names WAHA gives these settings."""

    model_config = _group("WHATSAPP_HOOK_")

    url: str = Field("", description="Where events of every session go; empty: nowhere.")
    events: str = Field("", description="Which: names with commas in between, or `*`.")
    hmac_key: SecretStr = Field(SecretStr(""), description="Key of the signatures.")
    retries_policy: Literal["constant", "linear", "exponential", ""] = Field(
        "", description="How the pauses between tries grow."
    )
    retries_delay_seconds: float | None = Field(None, ge=0, description="The first pause.")
    retries_attempts: int | None = Field(None, ge=0, description="Tries after the first one.")
    custom_headers: str = Field("", description="`Name:Value;Name:Value`.")

    def hooks(self) -> list[dict[str, Any]]:
        """In the form of WAHA's `WebhookConfig`; several URLs with commas in between."""
        retries = {
            "policy": self.retries_policy or None,
            "delaySeconds": self.retries_delay_seconds,
            "attempts": self.retries_attempts,
        }
        headers = [part.partition(":") for part in self.custom_headers.split(";") if ":" in part]
        common: dict[str, Any] = {"events": [e.strip() for e in self.events.split(",") if e]}
        if key := self.hmac_key.get_secret_value():
            common["hmac"] = {"key": key}
        if any(value is not None for value in retries.values()):
            common["retries"] = retries
        if headers:
            common["customHeaders"] = [
                {"name": name.strip(), "value": value.strip()} for name, _, value in headers
            ]
        return [{"url": url.strip()} | common for url in self.url.split(",") if url.strip()]


class SinkSettings(BaseSettings):
    """Message systems that get the events of every session."""

    model_config = _group("SINK_")

    events: str = Field("*", description="Which: names with commas in between, or `*`.")
    redis_url: SecretStr = Field(SecretStr(""), description="Redis with the stream; empty: none.")
    redis_stream: str = Field("gateway:events", description="Key of the stream.")
    redis_length: int = Field(100_000, ge=1, description="The stream is cut at about this length.")
    nats_url: SecretStr = Field(SecretStr(""), description="NATS with JetStream; empty: none.")
    nats_stream: str = Field("GATEWAY", description="Made when no stream has the subjects.")
    nats_prefix: str = Field(
        "gateway.events", description="Subjects are `<prefix>.<session>.<event>`."
    )
    rabbitmq_url: SecretStr = Field(SecretStr(""), description="amqp:// URL; empty: none.")
    rabbitmq_exchange: str = Field("gateway.events", description="A durable topic exchange.")
    kafka_servers: str = Field("", description="host:port, with commas in between; empty: none.")
    kafka_topic: str = Field("gateway.events", description="Topic; keys are session names.")
    kafka_security: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="How to speak to the brokers."
    )
    kafka_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "PLAIN", description="Of SASL."
    )
    kafka_user: str = Field("", description="Of SASL.")
    kafka_password: SecretStr = Field(SecretStr(""), description="Of SASL.")
    s3_bucket: str = Field("", description="Bucket for batches of events; empty: none.")
    s3_prefix: str = Field(
        "events", description="Objects are `<prefix>/<session>/<day>/<number>.ndjson`."
    )
    s3_batch: int = Field(1000, ge=1, le=10_000, description="Events of one object, at most.")
    s3_batch_seconds: float = Field(
        60.0, ge=0, description="An object is written this long after its first event, full or not."
    )
    s3_endpoint: str = Field(
        "", description="host:port of another S3 server than the gateway's; empty: that one."
    )
    s3_access_key: SecretStr = Field(SecretStr(""), description="Of that other server.")
    s3_secret_key: SecretStr = Field(SecretStr(""), description="Of that other server.")
    s3_region: str = Field("us-east-1", description="Of that other server.")
    s3_secure: bool = Field(True, description="Use TLS towards that other server.")


class BackendSettings(BaseSettings):
    """Who gets reports of how sessions and nodes are."""

    model_config = _group("BACKEND_")

    url: str = Field("", description="Gets status changes and heartbeats by POST; empty: nobody.")
    jwt_secret: SecretStr = Field(
        SecretStr(""), description="Signs each request (HS256); 32 characters and more."
    )
    token_seconds: float = Field(60.0, gt=0, description="Lifetime of a signature.")
    events: str = Field("session.status", description="Events of sessions that it gets.")
    heartbeat_seconds: float = Field(
        15.0, gt=0, description="Every node reports how it is this often, here and in Redis."
    )
    timeout_seconds: float = Field(10.0, gt=0, description="Bound on one request.")

    @model_validator(mode="after")
    def _signed(self) -> Self:
        if self.url and len(self.jwt_secret.get_secret_value()) < 32:
            raise ValueError("BACKEND_URL needs a BACKEND_JWT_SECRET of 32 characters and more")
        return self


class LogSettings(BaseSettings):
    """What processes say of themselves."""

    model_config = _group("LOG_")

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Less than this is not logged."
    )
    format: Literal["json", "text"] = Field("json", description="One JSON object a line, or text.")


class TracingSettings(BaseSettings):
    """Traces by OpenTelemetry."""

    model_config = _group("TRACING_")

    otlp_endpoint: str = Field(
        "",
        description="URL of a collector that takes OTLP over HTTP (`http://…:4318`); empty: off.",
    )
    service_name: str = Field("whatsapp-gateway", description="`service.name` of the spans.")
    sample_ratio: float = Field(
        1.0, ge=0, le=1, description="Part of the requests without a `traceparent` that is traced."
    )
    delay_seconds: float = Field(2.0, gt=0, description="Spans are sent in batches this often.")
    timeout_seconds: float = Field(5.0, gt=0, description="Bound on sending one batch.")


class PlacementSettings(BaseSettings):
    """Where session actors run."""

    model_config = _group("PLACEMENT_")

    namespace: str = Field("gateway", description="Ray namespace of every actor of the gateway.")
    session_slots_per_node: int = Field(100, ge=1, description="`session_slots` a node offers.")
    reconcile_seconds: float = Field(
        1.0,
        gt=0,
        description="The supervisor looks this often; on the only node, while all is well, a third "
        "as often.",
    )
    starts_per_second: float = Field(10.0, gt=0, description="Pace of mass recovery.")
    spare_processes: int | None = Field(
        None,
        ge=0,
        description="Processes that each node keeps ready for sessions that lose theirs; forked, "
        "17 MB each, 65 MB otherwise. Empty: as many as the node gets when the fullest of the "
        "others is lost, or 1 where processes are not forked.",
    )
    spares_after_seconds: float = Field(
        60.0,
        ge=0,
        description="From a node's start to its first spare process: what serves has the processor "
        "first.",
    )
    fork: bool = Field(
        True,
        description="Session processes are forked from one of their node that has imported "
        "everything (Linux); otherwise each imports everything itself.",
    )
    starts_burst: int = Field(
        20, ge=0, description="So many starts may come at once before the pace holds."
    )
    sessions_per_actor: int = Field(
        1,
        ge=1,
        le=200,
        description="Sessions that share one process; 1: each has an actor of its own. Change it "
        "while the gateway is down.",
    )
    packed_starts_per_second: float = Field(
        40.0, gt=0, description="Pace of mass recovery where sessions share processes."
    )
    rebalance: bool = Field(
        True,
        description="Move sessions when nodes join, one clean handover after the other, until all "
        "nodes have as many.",
    )
    moves_per_second: float = Field(2.0, gt=0, description="Pace of those moves, and of drains.")

    @property
    def packed(self) -> bool:
        """Sessions share processes."""
        return self.sessions_per_actor > 1

    @property
    def pace(self) -> float:
        """Starts per second of mass recovery."""
        return self.packed_starts_per_second if self.packed else self.starts_per_second


class SupervisorSettings(BaseSettings):
    """What becomes of sessions that fail, hang, or live on a drained node."""

    model_config = _group("SUPERVISOR_")

    settled_seconds: float = Field(
        60.0, gt=0, description="A session that was WORKING this long has not failed to start."
    )
    free_failures: int = Field(
        3, ge=0, description="So many failures in a row are tried again at once."
    )
    first_pause_seconds: float = Field(
        1.0, gt=0, description="The pause after one more; it doubles each time, half of it chance."
    )
    longest_pause_seconds: float = Field(300.0, gt=0, description="Bound on that pause.")
    give_up_failures: int = Field(
        12, ge=1, description="So many failures in a row end the session as FAILED."
    )
    unresponsive_seconds: float = Field(
        15.0,
        gt=0,
        description="A process without a lease that does not answer for so long is killed.",
    )
    ownerless_seconds: float = Field(
        120.0,
        gt=0,
        description="So is one that answers but neither owns its session nor waits for its turn.",
    )
    handover_seconds: float = Field(
        30.0, gt=0, description="A drain goes on to the next session after this, at the latest."
    )


def _sources(names: frozenset[str]) -> object:
    """Changes with what these variables would be read from."""
    try:
        file = Path(_ENV_FILE).stat()
    except OSError:
        stamp = None
    else:
        stamp = (file.st_dev, file.st_ino, file.st_mtime_ns, file.st_size)
    return {n: v for n, v in os.environ.items() if n.upper() in names}, stamp


class Settings:
    """All groups together; each is read from the environment once, on construction."""

    #: Of `current`: the names of variables, what they and the file were, what was read.
    _latest: ClassVar[tuple[frozenset[str], object, Settings] | None] = None

    @classmethod
    def current(cls) -> Settings:
        """What the environment and its file say now, read again only when they have changed.

        Reading all groups costs 20 ms and touches 2 MB: a forked process has them from its zygote.
        Raises `ValueError` like the constructor.
        """
        if cls._latest is None or cls._latest[1] != _sources(cls._latest[0]):
            settings = cls()
            names = frozenset(
                f"{group.model_config.get('env_prefix', '')}{name}".upper()
                for group in vars(settings).values()
                for name in type(group).model_fields
            )
            cls._latest = names, _sources(names), settings
        # Callers may put another group in place of one.
        return copy.copy(cls._latest[2])

    def __init__(self, **groups: Any) -> None:
        self.stores: StoreSettings = groups.get("stores") or StoreSettings()
        self.checkpoint: CheckpointSettings = groups.get("checkpoint") or CheckpointSettings()
        self.lease: LeaseSettings = groups.get("lease") or LeaseSettings()
        self.whatsapp: WhatsAppSettings = groups.get("whatsapp") or WhatsAppSettings()
        self.spool: SpoolSettings = groups.get("spool") or SpoolSettings()
        self.outbox: OutboxSettings = groups.get("outbox") or OutboxSettings()
        self.pacing: PacingSettings = groups.get("pacing") or PacingSettings()
        self.http: HttpSettings = groups.get("http") or HttpSettings()
        self.limits: LimitSettings = groups.get("limits") or LimitSettings()
        self.front: FrontSettings = groups.get("front") or FrontSettings()
        self.jwt: JwtSettings = groups.get("jwt") or JwtSettings()
        self.media: MediaSettings = groups.get("media") or MediaSettings()
        self.events: EventSettings = groups.get("events") or EventSettings()
        self.history: HistorySettings = groups.get("history") or HistorySettings()
        self.webhooks: WebhookSettings = groups.get("webhooks") or WebhookSettings()
        self.global_webhooks: GlobalWebhookSettings = (
            groups.get("global_webhooks") or GlobalWebhookSettings()
        )
        self.sinks: SinkSettings = groups.get("sinks") or SinkSettings()
        self.backend: BackendSettings = groups.get("backend") or BackendSettings()
        self.logs: LogSettings = groups.get("logs") or LogSettings()
        self.tracing: TracingSettings = groups.get("tracing") or TracingSettings()
        self.placement: PlacementSettings = groups.get("placement") or PlacementSettings()
        self.supervisor: SupervisorSettings = groups.get("supervisor") or SupervisorSettings()

    def connections(self, *, sessions: int, nodes: int) -> int:
        """To PostgreSQL, at most, of a gateway with so many running sessions."""
        share = self.placement.sessions_per_actor
        hosts = -(-sessions // share)
        # Each replica of the front, each dispatcher, the supervisor.
        others = (self.http.replicas + self.webhooks.dispatchers + 1) * (
            self.stores.database_pool_max
        )
        return (
            hosts * self.stores.connections_of_host(share)
            + nodes * self.stores.connections_of_agent
            + others
        )

    @property
    def start_policy(self) -> StartPolicy:
        """When failing starts are tried again."""
        return StartPolicy(
            free=self.supervisor.free_failures,
            first=self.supervisor.first_pause_seconds,
            longest=self.supervisor.longest_pause_seconds,
            give_up_after=self.supervisor.give_up_failures,
            settled=self.supervisor.settled_seconds,
            per_second=self.placement.pace,
            burst=self.placement.starts_burst,
        )

    @property
    def base_url(self) -> str:
        """How receivers of events reach the gateway, as far as it knows by itself."""
        everywhere = self.http.host in {"127.0.0.1", "::1", "0.0.0.0", "::", ""}  # noqa: S104
        host = "localhost" if everywhere else self.http.host
        place = f"[{host}]" if ":" in host else host
        return self.media.public_url or f"{self.http.scheme}://{place}:{self.http.port}"

    @property
    def data_dir(self) -> Path:
        """Folder for what this node keeps on disk: device stores, journals."""
        return Path(os.environ.get("GATEWAY_DATA_DIR", "data")).resolve()
