"""Seen and typing, and who is in a group."""

from __future__ import annotations

from neonize.utils.enum import ChatPresence, ChatPresenceMedia, ReceiptType

from actors.whatsapp.jids import from_text, to_text
from actors.whatsapp.verbs.registry import Device
from cluster.domain.jid import bare_jid
from cluster.domain.verbs import chatting


@chatting.Seen.handler
async def seen(device: Device, verb: chatting.Seen) -> None:
    await device.call(
        lambda library: library.mark_read(
            *verb.message_ids,
            chat=from_text(verb.chat),
            sender=from_text(verb.sender or verb.chat),
            receipt=ReceiptType.READ,
        )
    )


@chatting.Typing.handler
async def typing(device: Device, verb: chatting.Typing) -> None:
    state = (
        ChatPresence.CHAT_PRESENCE_COMPOSING if verb.typing else ChatPresence.CHAT_PRESENCE_PAUSED
    )
    media = (
        ChatPresenceMedia.CHAT_PRESENCE_MEDIA_AUDIO
        if verb.recording
        else ChatPresenceMedia.CHAT_PRESENCE_MEDIA_TEXT
    )
    await device.call(
        lambda library: library.send_chat_presence(from_text(verb.chat), state, media)
    )


@chatting.Members.handler
async def members(device: Device, verb: chatting.Members) -> list[str]:
    info = await device.call(lambda library: library.get_group_info(from_text(verb.chat)))
    own = {bare_jid(device.me.jid), device.me.lid} if device.me else set()
    found = [to_text(participant.JID) for participant in info.Participants]
    return [jid for jid in found if jid not in own]
