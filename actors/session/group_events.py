"""What an event says of a group, for the table of groups. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from cluster.domain.chat_id import parse_chat_id
from cluster.domain.history import GroupEvent

__all__ = ["group_event_of"]


def group_event_of(name: str, payload: dict[str, Any], now: datetime) -> GroupEvent | None:
    """`name` and `payload` of an event (`actors.whatsapp.side_events`); None: not of a group."""
    if not name.startswith("group.v2."):
        return None
    group = payload["group"]
    at = datetime.fromtimestamp(payload["timestamp"], UTC)
    jid = str(group["id"])
    match name:
        case "group.v2.join":
            people = group["participants"]
            return GroupEvent(
                jid=jid,
                # Times of changes are in seconds.
                at=now.replace(microsecond=0),
                subject=group["subject"],
                description=group["description"],
                members={_jid(one["pn"] or one["id"]): one["role"] for one in people},
                joined=True,
            )
        case "group.v2.leave":
            return GroupEvent(jid=jid, at=at, joined=False)
        case "group.v2.participants":
            roles = {
                _jid(one.get("pn") or one["id"]): one["role"] for one in payload["participants"]
            }
            if payload["type"] == "leave":
                return GroupEvent(jid=jid, at=at, gone=tuple(roles))
            return GroupEvent(jid=jid, at=at, changed=roles)
        case _:
            return GroupEvent(
                jid=jid, at=at, subject=group.get("subject"), description=group.get("description")
            )


def _jid(chat_id: str) -> str:
    return parse_chat_id(chat_id).jid
