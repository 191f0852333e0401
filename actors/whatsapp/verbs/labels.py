"""Labels of chats (WhatsApp Business), as app state (whatsmeow, appstate/encode.go)."""

from __future__ import annotations

from neonize.proto.waSyncAction.WAWebProtobufSyncAction_pb2 import (
    LabelAssociationAction,
    LabelEditAction,
    SyncActionValue,
)

from actors.whatsapp.verbs import app_state
from actors.whatsapp.verbs.registry import Device, verb


@verb("labels.edit")
async def edit(device: Device, *, label: str, name: str, color: int, deleted: bool) -> None:
    """Create, change or delete a label."""
    action = LabelEditAction(name=name, color=color, deleted=deleted)
    await app_state.change(
        device,
        "regular",
        ["label_edit", label],
        3,
        SyncActionValue(labelEditAction=action),
    )


@verb("labels.chat")
async def label_chat(device: Device, *, label: str, chat: str, labeled: bool) -> None:
    """Give a chat a label, or take it away."""
    await app_state.change(
        device,
        "regular",
        ["label_jid", label, chat],
        3,
        SyncActionValue(labelAssociationAction=LabelAssociationAction(labeled=labeled)),
    )
