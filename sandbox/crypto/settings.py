"""The settings that travel as app state: which collection, index, version and value each has.

From whatsmeow's appstate/encode.go (Build…) and, for contacts, appstate.go
(dispatchAppState). Every builder gives the collection's name and its mutation.
"""

from __future__ import annotations

from datetime import datetime

from sandbox.crypto.appstate import (
    CRITICAL_BLOCK,
    CRITICAL_UNBLOCK_LOW,
    REGULAR,
    REGULAR_HIGH,
    REGULAR_LOW,
    Mutation,
)
from sandbox.crypto.protobuf import wa

#: of a chat muted for good (whatsmeow: BuildMuteAbs)
_FOREVER = -1


def push_name(name: str) -> tuple[str, Mutation]:
    """The account's own name, which every device needs before it may send presence."""
    value = wa.SyncActionValue(pushNameSetting=wa.SyncActionValue.PushNameSetting(name=name))
    return CRITICAL_BLOCK, Mutation(index=("setting_pushName",), value=value, version=1)


def locale(tag: str) -> tuple[str, Mutation]:
    """The account's language, such as `en_GB`."""
    value = wa.SyncActionValue(localeSetting=wa.SyncActionValue.LocaleSetting(locale=tag))
    return CRITICAL_BLOCK, Mutation(index=("setting_locale",), value=value, version=3)


def contact(
    jid: str, *, full_name: str, first_name: str = "", lid: str = ""
) -> tuple[str, Mutation]:
    """An entry of the phone's address book; `jid` by phone number, `lid` the same person's."""
    action = wa.SyncActionValue.ContactAction(
        fullName=full_name, firstName=first_name or full_name.split(" ")[0]
    )
    if lid:
        action.lidJid = lid
    value = wa.SyncActionValue(contactAction=action)
    return CRITICAL_UNBLOCK_LOW, Mutation(index=("contact", jid), value=value, version=2)


def nct_salt(salt: bytes) -> tuple[str, Mutation]:
    """What the devices make tokens with for people who have given the account none."""
    # `nctSaltSyncAction` (80) with `salt` (1): newer than the protobufs here.
    action = bytes([0x0A, len(salt)]) + salt
    value = wa.SyncActionValue.FromString(bytes([0x82, 0x05, len(action)]) + action)
    return REGULAR_HIGH, Mutation(index=("nct_salt_sync",), value=value, version=1)


def mute(chat: str, *, muted: bool = True, until: datetime | None = None) -> tuple[str, Mutation]:
    """Mute a chat until then, or for good without `until`; or unmute it."""
    action = wa.SyncActionValue.MuteAction(muted=muted)
    if muted:
        action.muteEndTimestamp = int(until.timestamp() * 1000) if until else _FOREVER
    value = wa.SyncActionValue(muteAction=action)
    return REGULAR_HIGH, Mutation(index=("mute", chat), value=value, version=2)


def pin(chat: str, *, pinned: bool = True) -> tuple[str, Mutation]:
    """Pin a chat to the top of the list, or let it go."""
    value = wa.SyncActionValue(pinAction=wa.SyncActionValue.PinAction(pinned=pinned))
    return REGULAR_LOW, Mutation(index=("pin_v1", chat), value=value, version=5)


def archive(chat: str, *, last_message: datetime, archived: bool = True) -> tuple[str, Mutation]:
    """Archive a chat as of its last message, or bring it back. Unpinning it is a `pin` more."""
    action = wa.SyncActionValue.ArchiveChatAction(
        archived=archived, messageRange=_until(last_message)
    )
    value = wa.SyncActionValue(archiveChatAction=action)
    return REGULAR_LOW, Mutation(index=("archive", chat), value=value, version=3)


def mark_read(chat: str, *, last_message: datetime, read: bool = True) -> tuple[str, Mutation]:
    """Mark a chat as read up to its last message, or as unread."""
    action = wa.SyncActionValue.MarkChatAsReadAction(read=read, messageRange=_until(last_message))
    value = wa.SyncActionValue(markChatAsReadAction=action)
    return REGULAR_LOW, Mutation(index=("markChatAsRead", chat), value=value, version=3)


def label(id: str, *, name: str, color: int, deleted: bool = False) -> tuple[str, Mutation]:
    """A label of WhatsApp Business: made, changed or deleted."""
    action = wa.SyncActionValue.LabelEditAction(name=name, color=color, deleted=deleted)
    value = wa.SyncActionValue(labelEditAction=action)
    return REGULAR, Mutation(index=("label_edit", id), value=value, version=3)


def label_chat(id: str, chat: str, *, labeled: bool = True) -> tuple[str, Mutation]:
    """Give a chat a label, or take it away."""
    action = wa.SyncActionValue.LabelAssociationAction(labeled=labeled)
    value = wa.SyncActionValue(labelAssociationAction=action)
    return REGULAR, Mutation(index=("label_jid", id, chat), value=value, version=3)


def _until(last_message: datetime) -> wa.SyncActionValue:
    return wa.SyncActionValue.SyncActionMessageRange(
        lastMessageTimestamp=int(last_message.timestamp())
    )
