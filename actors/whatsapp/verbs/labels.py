"""Labels of chats (WhatsApp Business), as app state (whatsmeow, appstate/encode.go)."""

from __future__ import annotations

from neonize.proto.waSyncAction.WAWebProtobufSyncAction_pb2 import (
    LabelAssociationAction,
    LabelEditAction,
    SyncActionValue,
)

from actors.whatsapp.verbs import app_state
from actors.whatsapp.verbs.registry import Device
from cluster.domain.verbs import labels


@labels.Edit.handler
async def edit(device: Device, verb: labels.Edit) -> None:
    action = LabelEditAction(name=verb.name, color=verb.color, deleted=verb.deleted)
    await app_state.change(
        device,
        "regular",
        ["label_edit", verb.label],
        3,
        SyncActionValue(labelEditAction=action),
    )


@labels.LabelChat.handler
async def label_chat(device: Device, verb: labels.LabelChat) -> None:
    await app_state.change(
        device,
        "regular",
        ["label_jid", verb.label, verb.chat],
        3,
        SyncActionValue(labelAssociationAction=LabelAssociationAction(labeled=verb.labeled)),
    )
