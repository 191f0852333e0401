"""What proves to a receiver that a request is ours, and new.

WAHA's `X-Webhook-Hmac` covers the body only, so an old request can be replayed by whoever saw it.
The headers of Standard Webhooks (https://www.standardwebhooks.com) cover id and time as well.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

__all__ = ["identity_headers", "signature_headers"]


def identity_headers(event_id: str, *, now_ms: int, attempt: int) -> dict[str, str]:
    """`X-Webhook-Request-Id` is the event's id: the same at every try."""
    return {
        "X-Webhook-Request-Id": event_id,
        "X-Webhook-Timestamp": str(now_ms),
        "X-Webhook-Attempt": str(attempt),
    }


def signature_headers(body: bytes, key: str, event_id: str, *, now_ms: int) -> dict[str, str]:
    """Both signatures, with the configured `hmac.key`."""
    secret, seconds = key.encode(), str(now_ms // 1000)
    covered = b".".join((event_id.encode(), seconds.encode(), body))
    timed = base64.b64encode(hmac.digest(secret, covered, hashlib.sha256)).decode()
    return {
        "X-Webhook-Hmac": hmac.new(secret, body, hashlib.sha512).hexdigest(),
        "X-Webhook-Hmac-Algorithm": "sha512",
        "webhook-id": event_id,
        "webhook-timestamp": seconds,
        "webhook-signature": f"v1,{timed}",
    }
