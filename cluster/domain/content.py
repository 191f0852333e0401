"""Contents of messages as the outbox keeps them."""

from __future__ import annotations

from typing import Any

__all__ = ["asked"]


def asked(content: Any) -> Any:
    """What the caller asked for. Keys with `_` in front are the gateway's own additions (random
    secrets, previews, keys of stored objects): they differ from try to try, and are nobody's
    business outside."""
    if isinstance(content, dict):
        return {k: asked(v) for k, v in content.items() if not str(k).startswith("_")}
    return [asked(v) for v in content] if isinstance(content, list) else content
