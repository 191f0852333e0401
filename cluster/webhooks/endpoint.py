"""A webhook as WAHA configures it, read from the configuration of a session or of the gateway."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from cluster.events.names import expand
from cluster.webhooks.retry import RetryPolicy
from cluster.webhooks.signatures import identity_headers, signature_headers

__all__ = ["Endpoint"]

#: Set by us or by the connection: a custom header of that name is left out.
_OWN = {
    *("host", "content-length", "transfer-encoding", "connection", "content-type", "te"),
    *("trailer", "upgrade", "keep-alive", "proxy-connection", "expect"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """Where events go, which, and how."""

    url: str
    #: Names of events, `*` expanded.
    events: frozenset[str]
    retries: RetryPolicy
    #: Secret of the signatures; empty: unsigned.
    hmac_key: str
    headers: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Self:
        """Read WAHA's `WebhookConfig`."""
        custom = config.get("customHeaders") or ()
        return cls(
            url=str(config["url"]),
            events=expand(str(name) for name in config.get("events") or ()),
            retries=RetryPolicy.of(config.get("retries")),
            hmac_key=str((config.get("hmac") or {}).get("key") or ""),
            headers=tuple(
                (str(header["name"]), str(header["value"]))
                for header in custom
                if str(header["name"]).lower() not in _OWN
            ),
        )

    def request_headers(self, body: bytes, event_id: str, *, attempt: int) -> dict[str, str]:
        """The headers of one try, signed now."""
        now_ms = time.time_ns() // 1_000_000
        headers = {
            **dict(self.headers),
            "Content-Type": "application/json",
            **identity_headers(event_id, now_ms=now_ms, attempt=attempt),
        }
        if self.hmac_key:
            headers |= signature_headers(body, self.hmac_key, event_id, now_ms=now_ms)
        return headers
