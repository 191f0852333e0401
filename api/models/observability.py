"""Bodies of the observability group."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field

from api.models import WahaModel

__all__ = ["Environment", "Health", "Ping", "Readiness", "ServerStatus", "Worker"]


class Ping(WahaModel):
    message: str = "pong"


class Worker(WahaModel):
    id: str | None


class Environment(WahaModel):
    """WAHA's version answer, and ours under `gateway`."""

    version: str = Field(examples=["0.1.0"])
    engine: str = Field("GOWS", description="whatsmeow, as in WAHA's GOWS.")
    tier: str = Field("PLUS", description="No feature is held back.")
    browser: str = Field("", description="Empty: no browser is involved.")
    platform: str = Field(examples=["linux/x64"])
    worker: Worker
    gateway: dict[str, Any] = Field(description="Versions of the parts.")


class ServerStatus(WahaModel):
    startTimestamp: int = Field(description="Start of this replica, Unix time in ms.")
    uptime: int = Field(description="Milliseconds")
    worker: Worker


class Health(WahaModel):
    """The form of NestJS Terminus, as WAHA: what is up in `info`, what is down in `error`."""

    status: Literal["ok", "error"]
    info: dict[str, dict[str, Any]]
    error: dict[str, dict[str, Any]]
    details: dict[str, dict[str, Any]]

    @classmethod
    def of(cls, stores: dict[str, dict[str, Any]]) -> Self:
        """`stores`: per store `{"ok": true, …}`."""
        parts = {
            name: {"status": "up" if facts.get("ok") else "down"}
            | {key: value for key, value in facts.items() if key != "ok"}
            for name, facts in stores.items()
        }
        down = {name: facts for name, facts in parts.items() if facts["status"] != "up"}
        return cls(
            status="error" if down else "ok",
            info={name: facts for name, facts in parts.items() if name not in down},
            error=down,
            details=parts,
        )

    def minimal(self) -> Health:
        """For callers without a key: the state and nothing about the parts."""
        return Health(status=self.status, info={}, error={}, details={})


#: What waits while a store is unreachable. The rest (PostgreSQL, or no store could be reached at
#: all) keeps a replica from being ready.
_EFFECTS = {
    "redis": "QR codes are not shared between replicas, limits are counted by each for itself",
    "s3": "checkpoints wait, a session that must move waits, media is not stored",
}


class Part(WahaModel):
    """A store, for a probe."""

    status: Literal["up", "down"]
    effect: str = Field("", description="What does not work meanwhile.")
    latency_ms: float | None = None


class Readiness(WahaModel):
    """Whether requests should come here."""

    status: Literal["ready", "degraded", "unready"]
    parts: dict[str, Part] = Field(default_factory=dict)
    smallerPromises: dict[str, str] = Field(
        default_factory=dict,
        description="Promises that the WhatsApp library of some process does not keep: name, and "
        "what holds instead (docs/promises.md).",
    )

    ownerlessSessions: int = Field(
        0, description="Sessions that are to run, and that nobody owns: they are taken over."
    )

    @classmethod
    def of(
        cls, health: Health, smaller: dict[str, str] | None = None, *, ownerless: int = 0
    ) -> Self:
        """`smaller`: promises that are not kept."""
        parts = {
            name: Part(
                status=facts["status"],
                effect=""
                if facts["status"] == "up"
                else _EFFECTS.get(name, "sends are refused, sessions stay connected"),
                latency_ms=facts.get("latency_ms"),
            )
            for name, facts in health.details.items()
        }
        down = {name for name, part in parts.items() if part.status == "down"}
        status: Literal["ready", "degraded", "unready"] = (
            "degraded" if down or smaller or ownerless else "ready"
        )
        return cls(
            status="unready" if down - _EFFECTS.keys() else status,
            parts=parts,
            smallerPromises=smaller or {},
            ownerlessSessions=ownerless,
        )

    def minimal(self) -> Readiness:
        """For callers without a key."""
        return Readiness(status=self.status)
