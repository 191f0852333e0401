"""Settings of chats and messages that all devices of the account share (app state).

The indexes and versions are whatsmeow's (appstate/encode.go, Build…).
"""

from __future__ import annotations

from typing import Any

import structlog
from neonize.proto.Neonize_pb2 import MutationInfo, PatchInfo
from neonize.proto.waCommon.WACommon_pb2 import MessageKey
from neonize.proto.waSyncAction.WAWebProtobufSyncAction_pb2 import (
    ArchiveChatAction,
    ClearChatAction,
    DeleteChatAction,
    MarkChatAsReadAction,
    PinAction,
    StarAction,
    SyncActionMessage,
    SyncActionMessageRange,
    SyncActionValue,
)

from actors.whatsapp.content.changes import message_key
from actors.whatsapp.jids import from_text
from actors.whatsapp.library.app_state_name import send_app_state
from actors.whatsapp.verbs.registry import Device, verb
from cluster.domain.errors import WhatsAppRefused

__all__: list[str] = []

log = structlog.get_logger(__name__)


@verb("chats.archive")
async def archive(
    device: Device, *, chat: str, archived: bool, last: dict[str, Any] | None = None
) -> None:
    """Archive a chat, or bring it back. `last`: key and `timestamp` of its newest message."""
    action = ArchiveChatAction(archived=archived, messageRange=_range(last))
    mutations = [_mutation(["archive", chat], 3, SyncActionValue(archiveChatAction=action))]
    if archived:
        unpinned = SyncActionValue(pinAction=PinAction(pinned=False))
        mutations.append(_mutation(["pin_v1", chat], 5, unpinned))
    await _send(device, PatchInfo.REGULAR_LOW, mutations)


@verb("chats.mark_read")
async def mark_read(
    device: Device, *, chat: str, read: bool, last: dict[str, Any] | None = None
) -> None:
    """Mark a whole chat as read or unread."""
    action = MarkChatAsReadAction(read=read, messageRange=_range(last))
    value = SyncActionValue(markChatAsReadAction=action)
    await _send(device, PatchInfo.REGULAR_LOW, [_mutation(["markChatAsRead", chat], 3, value)])


@verb("chats.delete")
async def delete(device: Device, *, chat: str, last: dict[str, Any] | None = None) -> None:
    """Remove a chat, with its messages and media, from all devices of the account."""
    value = SyncActionValue(deleteChatAction=DeleteChatAction(messageRange=_range(last)))
    await _send(device, PatchInfo.REGULAR_HIGH, [_mutation(["deleteChat", chat, "1"], 6, value)])


@verb("chats.clear")
async def clear(device: Device, *, chat: str, last: dict[str, Any] | None = None) -> None:
    """Remove the messages of a chat from all devices, starred ones too."""
    value = SyncActionValue(clearChatAction=ClearChatAction(messageRange=_range(last)))
    index = ["clearChat", chat, "1", "0"]
    await _send(device, PatchInfo.REGULAR_HIGH, [_mutation(index, 6, value)])


@verb("chats.star")
async def star(device: Device, *, key: dict[str, Any], starred: bool) -> None:
    """Star a message, or take the star away."""
    from_me = "1" if key["from_me"] else "0"
    grouped = str(key["chat"]).endswith(("@g.us", "@broadcast"))
    sender = str(key["sender"]) if grouped and not key["from_me"] else "0"
    value = SyncActionValue(starAction=StarAction(starred=starred))
    index = ["star", key["chat"], key["id"], from_me, sender]
    await _send(device, PatchInfo.REGULAR_HIGH, [_mutation(index, 2, value)])


@verb("chats.picture")
async def picture(device: Device, *, chat: str) -> str:
    """URL of the picture; empty when there is none, or none for this account."""
    try:
        found = await device.call(lambda library: library.get_profile_picture(from_text(chat)))
    except WhatsAppRefused as error:
        log.debug("chats.no_picture", error=error.detail)
        return ""
    return str(found.URL)


def _mutation(index: list[str], version: int, value: SyncActionValue) -> MutationInfo:
    return MutationInfo(Index=index, Version=version, Value=value)


async def _send(device: Device, collection: Any, mutations: list[MutationInfo]) -> None:
    name = PatchInfo.WAPatchName.Name(collection).lower()
    await device.call(lambda library: send_app_state(library, name, mutations))
    await device.emit_settings()


def _range(last: dict[str, Any] | None) -> SyncActionMessageRange | None:
    if last is None:
        return None
    key: MessageKey = message_key(last)
    timestamp = int(last["timestamp"])
    return SyncActionMessageRange(
        lastMessageTimestamp=timestamp,
        messages=[SyncActionMessage(key=key, timestamp=timestamp)],
    )
