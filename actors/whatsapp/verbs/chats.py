"""Settings of chats and messages that all devices of the account share (app state).

The indexes and versions are whatsmeow's (appstate/encode.go, Build…).
"""

from __future__ import annotations

from typing import Any

import structlog
from neonize.proto.Neonize_pb2 import MutationInfo, PatchInfo
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
from actors.whatsapp.verbs.registry import Device
from cluster.domain.errors import WhatsAppRefused
from cluster.domain.message_ref import LastMessage
from cluster.domain.verbs import chats

__all__: list[str] = []

log = structlog.get_logger(__name__)


@chats.Archive.handler
async def archive(device: Device, verb: chats.Archive) -> None:
    action = ArchiveChatAction(archived=verb.archived, messageRange=_range(verb.last))
    mutations = [_mutation(["archive", verb.chat], 3, SyncActionValue(archiveChatAction=action))]
    if verb.archived:
        unpinned = SyncActionValue(pinAction=PinAction(pinned=False))
        mutations.append(_mutation(["pin_v1", verb.chat], 5, unpinned))
    await _send(device, PatchInfo.REGULAR_LOW, mutations)


@chats.MarkRead.handler
async def mark_read(device: Device, verb: chats.MarkRead) -> None:
    action = MarkChatAsReadAction(read=verb.read, messageRange=_range(verb.last))
    value = SyncActionValue(markChatAsReadAction=action)
    await _send(device, PatchInfo.REGULAR_LOW, [_mutation(["markChatAsRead", verb.chat], 3, value)])


@chats.Delete.handler
async def delete(device: Device, verb: chats.Delete) -> None:
    value = SyncActionValue(deleteChatAction=DeleteChatAction(messageRange=_range(verb.last)))
    await _send(
        device, PatchInfo.REGULAR_HIGH, [_mutation(["deleteChat", verb.chat, "1"], 6, value)]
    )


@chats.Clear.handler
async def clear(device: Device, verb: chats.Clear) -> None:
    value = SyncActionValue(clearChatAction=ClearChatAction(messageRange=_range(verb.last)))
    index = ["clearChat", verb.chat, "1", "0"]
    await _send(device, PatchInfo.REGULAR_HIGH, [_mutation(index, 6, value)])


@chats.Star.handler
async def star(device: Device, verb: chats.Star) -> None:
    key = verb.key
    from_me = "1" if key.from_me else "0"
    grouped = key.chat.endswith(("@g.us", "@broadcast"))
    sender = key.sender if grouped and not key.from_me else "0"
    value = SyncActionValue(starAction=StarAction(starred=verb.starred))
    index = ["star", key.chat, key.id, from_me, sender]
    await _send(device, PatchInfo.REGULAR_HIGH, [_mutation(index, 2, value)])


@chats.Picture.handler
async def picture(device: Device, verb: chats.Picture) -> str:
    try:
        found = await device.call(lambda library: library.get_profile_picture(from_text(verb.chat)))
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


def _range(last: LastMessage | None) -> SyncActionMessageRange | None:
    if last is None:
        return None
    return SyncActionMessageRange(
        lastMessageTimestamp=last.timestamp,
        messages=[SyncActionMessage(key=message_key(last), timestamp=last.timestamp)],
    )
