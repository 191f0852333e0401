"""Contents of messages as the outbox keeps them."""

from __future__ import annotations

from typing import Any

__all__ = ["body_of", "fingerprinted", "public_content"]


def body_of(content: dict[str, Any]) -> str:
    """The text that the history knows it by: of a message, or under its file."""
    return str(content.get("text") or content.get("caption") or "")


def fingerprinted(content: dict[str, Any]) -> dict[str, Any]:
    """What makes a repeated request the same one: what the caller asked for, and nothing that was
    looked up for it. Between two tries a quoted message may be edited, a group may grow, and a
    person's other address may become known."""
    same: dict[str, Any] = public_content(content)
    if "quoted" in same:
        same["quoted"] = same["quoted"]["id"]
    if "key" in same:
        same["key"] = [same["key"].get("id"), same["key"].get("from_me")]
    if same.pop("mention_all", False):
        same["mentions"] = "all"
    if "forwarded" in same:
        return {"forwarded": same["forwarded"]}
    return same


def public_content(content: Any) -> Any:
    """Without the gateway's own additions, which have `_` in front (random secrets, previews, keys
    of stored objects): they differ from try to try, and are nobody's business outside."""
    if isinstance(content, dict):
        return {k: public_content(v) for k, v in content.items() if not str(k).startswith("_")}
    return [public_content(v) for v in content] if isinstance(content, list) else content
