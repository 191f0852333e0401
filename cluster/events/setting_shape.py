"""Labels and archived chats in WAHA's shapes."""

from __future__ import annotations

from typing import Any

from cluster.domain.label import Label
from cluster.domain.waha_id import waha_id

__all__ = ["archived", "chat_label", "label"]


def label(one: Label) -> dict[str, Any]:
    return {"id": one.id, "name": one.name, "color": one.color, "colorHex": one.color_hex}


def chat_label(one: Label, chat: str) -> dict[str, Any]:
    """`chat`: its JID."""
    return {"labelId": one.id, "chatId": waha_id(chat), "label": label(one)}


def archived(chat: str, *, archived: bool, timestamp_ms: int) -> dict[str, Any]:
    """`chat`: its JID."""
    return {"id": waha_id(chat), "archived": archived, "timestamp": timestamp_ms}
