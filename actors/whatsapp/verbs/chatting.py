"""Seen and typing, and who is in a group."""

from __future__ import annotations

from neonize.utils.enum import ChatPresence, ChatPresenceMedia, ReceiptType

from actors.whatsapp.jids import from_text, to_text
from actors.whatsapp.verbs.registry import Device, verb
from cluster.domain.jid import bare_jid


@verb("chatting.seen")
async def seen(device: Device, *, chat: str, sender: str, message_ids: list[str]) -> None:
    """Send read receipts. `sender`: who sent the messages; in a group it must be given."""
    await device.call(
        lambda library: library.mark_read(
            *message_ids,
            chat=from_text(chat),
            sender=from_text(sender or chat),
            receipt=ReceiptType.READ,
        )
    )


@verb("chatting.typing")
async def typing(device: Device, *, chat: str, typing: bool, recording: bool = False) -> None:
    """Show as typing (or recording), or as having stopped."""
    state = ChatPresence.CHAT_PRESENCE_COMPOSING if typing else ChatPresence.CHAT_PRESENCE_PAUSED
    media = (
        ChatPresenceMedia.CHAT_PRESENCE_MEDIA_AUDIO
        if recording
        else ChatPresenceMedia.CHAT_PRESENCE_MEDIA_TEXT
    )
    await device.call(lambda library: library.send_chat_presence(from_text(chat), state, media))


@verb("chatting.members")
async def members(device: Device, *, chat: str) -> list[str]:
    """JIDs of everybody in a group but this account, for "mention all"."""
    info = await device.call(lambda library: library.get_group_info(from_text(chat)))
    own = {bare_jid(device.me.jid), device.me.lid} if device.me else set()
    found = [to_text(participant.JID) for participant in info.Participants]
    return [jid for jid in found if jid not in own]
