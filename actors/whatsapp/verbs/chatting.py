"""Seen and typing."""

from __future__ import annotations

from neonize.utils.enum import ChatPresence, ChatPresenceMedia, ReceiptType

from actors.whatsapp.jids import from_text
from actors.whatsapp.verbs.registry import Device, verb


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
