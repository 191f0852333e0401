"""Media types that callers accept."""

from __future__ import annotations

__all__ = ["prefers_json"]


def prefers_json(accept: str, over: str) -> bool:
    """As WAHA's interceptor: JSON when it is named, unless a type that begins with `over` is named
    before it."""
    kinds = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    named = [k for k in kinds if k == "application/json" or k.startswith(over)]
    return bool(named) and named[0] == "application/json"
