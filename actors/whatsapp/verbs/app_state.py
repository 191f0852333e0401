"""Settings that all devices of the account share: one record of a collection."""

from __future__ import annotations

from collections.abc import Sequence

from neonize.proto.Neonize_pb2 import MutationInfo
from neonize.proto.waSyncAction.WAWebProtobufSyncAction_pb2 import SyncActionValue

from actors.whatsapp.library.app_state_name import send_app_state
from actors.whatsapp.verbs.asking import ask
from actors.whatsapp.verbs.registry import Device

__all__ = ["change"]


async def change(
    device: Device, collection: str, index: Sequence[str], version: int, value: SyncActionValue
) -> None:
    """Set one record. `version`: fixed per action (whatsmeow, appstate/encode.go)."""
    mutation = MutationInfo(Index=list(index), Version=version, Value=value)
    await ask(device, lambda library: send_app_state(library, collection, [mutation]))
    await device.emit_settings()
