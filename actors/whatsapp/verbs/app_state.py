"""Settings that all devices of the account share: one patch of a collection."""

from __future__ import annotations

import time
from collections.abc import Sequence

from neonize.proto.Neonize_pb2 import MutationInfo, PatchInfo
from neonize.proto.waSyncAction.WAWebProtobufSyncAction_pb2 import SyncActionValue

from actors.whatsapp.verbs.asking import ask
from actors.whatsapp.verbs.registry import Device

__all__ = ["change"]


async def change(
    device: Device,
    collection: PatchInfo.WAPatchName.ValueType,
    index: Sequence[str],
    version: int,
    value: SyncActionValue,
) -> None:
    """Set one record. `version`: fixed per action (whatsmeow, appstate/encode.go)."""
    patch = PatchInfo(
        Timestamp=int(time.time()),
        Type=collection,
        Mutations=[MutationInfo(Index=list(index), Version=version, Value=value)],
    )
    await ask(device, lambda library: library.send_app_state(patch))
