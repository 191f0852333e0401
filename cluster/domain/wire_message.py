"""WhatsApp's messages as the history keeps them: JSON of the protobuf (waE2E, `Message`).

Which part of one holds what it says, its text, its file, what it replies to. Pure. Field names are
those of whatsmeow's waE2E.proto; what text a part has is what WhatsApp's own apps show of it
(WAHA: `extractBody`; Baileys: `normalizeMessageContent`, `extractMessageContent`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = [
    "FILES",
    "KINDS",
    "TEXTS",
    "WORDLESS",
    "context_of",
    "file_part",
    "has_text",
    "is_view_once",
    "kind_and_text",
    "main_part",
    "part_of",
    "people_in",
    "raw_of",
    "with_text",
]

Raw = dict[str, Any]

#: Field of the message -> the kind the gateway emits; others are named by their field's name.
KINDS = {
    "conversation": "text",
    "extendedTextMessage": "text",
    "imageMessage": "image",
    "videoMessage": "video",
    "ptvMessage": "video",
    "audioMessage": "audio",
    "documentMessage": "document",
    "stickerMessage": "sticker",
    "locationMessage": "location",
    "liveLocationMessage": "location",
    "contactMessage": "contact",
    "contactsArrayMessage": "contact",
    "reactionMessage": "reaction",
    "pollCreationMessage": "poll",
    "pollCreationMessageV2": "poll",
    "pollCreationMessageV3": "poll",
    "pollCreationMessageV5": "poll",
    "pollCreationMessageV6": "poll",
    "pollUpdateMessage": "poll_vote",
    "eventMessage": "event",
    "encEventResponseMessage": "event_response",
    "listMessage": "list",
    "buttonsMessage": "buttons",
    "listResponseMessage": "list_response",
    "buttonsResponseMessage": "buttons_response",
    "groupInviteMessage": "group_invite",
    "protocolMessage": "protocol",
    "senderKeyDistributionMessage": "sender_key",
    "pinInChatMessage": "pin",
    "editedMessage": "edit",
}
#: Field of the message -> where its text is; of several places the first that has one.
TEXTS: dict[str, tuple[str, ...]] = {
    "extendedTextMessage": ("text",),
    "imageMessage": ("caption",),
    "videoMessage": ("caption",),
    "ptvMessage": ("caption",),
    "documentMessage": ("caption",),
    "locationMessage": ("name",),
    "liveLocationMessage": ("caption",),
    "reactionMessage": ("text",),
    "pollCreationMessage": ("name",),
    "pollCreationMessageV2": ("name",),
    "pollCreationMessageV3": ("name",),
    "pollCreationMessageV5": ("name",),
    "pollCreationMessageV6": ("name",),
    "pollResultSnapshotMessage": ("name",),
    "pollResultSnapshotMessageV3": ("name",),
    "eventMessage": ("name",),
    "eventInviteMessage": ("caption", "eventTitle"),
    "scheduledCallCreationMessage": ("title",),
    "groupInviteMessage": ("caption",),
    "newsletterAdminInviteMessage": ("caption",),
    "newsletterFollowerInviteMessageV2": ("caption",),
    "stickerPackMessage": ("caption", "name"),
    "bcallMessage": ("caption",),
    "listMessage": ("title", "description"),
    "listResponseMessage": ("title", "description"),
    "buttonsMessage": ("contentText", "text"),
    "buttonsResponseMessage": ("selectedDisplayText",),
    "templateMessage": (
        "hydratedTemplate.hydratedContentText",
        "hydratedFourRowTemplate.hydratedContentText",
        "interactiveMessageTemplate.body.text",
    ),
    "templateButtonReplyMessage": ("selectedDisplayText",),
    "interactiveMessage": ("body.text", "header.title"),
    "interactiveResponseMessage": ("body.text",),
    "highlyStructuredMessage": ("hydratedHsm.hydratedTemplate.hydratedContentText",),
    "productMessage": ("body", "product.title"),
    "orderMessage": ("message", "orderTitle"),
    "invoiceMessage": ("note",),
    "paymentReminderMessage": ("description",),
    "splitPaymentMessage": ("description",),
    "statusQuestionAnswerMessage": ("text",),
    "questionResponseMessage": ("text",),
    "statusQuotedMessage": ("text",),
}
#: Fields without a text of their own.
WORDLESS = frozenset(
    {
        "senderKeyDistributionMessage",
        "fastRatchetKeySenderKeyDistributionMessage",
        "messageContextInfo",
        "contactMessage",
        "contactsArrayMessage",
        "audioMessage",
        "stickerMessage",
        "call",
        "chat",
        "declinePaymentRequestMessage",
        "cancelPaymentRequestMessage",
        "paymentInviteMessage",
        "stickerSyncRmrMessage",
        "pollUpdateMessage",
        "keepInChatMessage",
        "requestPhoneNumberMessage",
        "encReactionMessage",
        "pinInChatMessage",
        "scheduledCallEditMessage",
        "callLogMesssage",
        "messageHistoryBundle",
        "encCommentMessage",
        "encEventResponseMessage",
        "placeholderMessage",
        "secretEncryptedMessage",
        "albumMessage",
        "richResponseMessage",
        "statusNotificationMessage",
        "messageHistoryNotice",
        "statusStickerInteractionMessage",
        "newsletterAdminProfileMessage",
        "conditionalRevealMessage",
        "pollAddOptionMessage",
        "groupRootKeyShare",
        "rootSecretDistributeMessage",
        "splitPaymentUpdateMessage",
        "musicMessage",
        "statusLinkPreviewMetadata",
    }
)
#: Fields whose `noteMessage` says what the payment is for.
_NOTED = {"sendPaymentMessage", "requestPaymentMessage"}
#: Parts that carry a file, with the kind its keys are derived for.
FILES = {
    "imageMessage": "image",
    "videoMessage": "video",
    "ptvMessage": "video",
    "audioMessage": "audio",
    "documentMessage": "document",
    "stickerMessage": "image",
}
#: Pictures of products.
_PICTURES = ("productImage", "catalogImage")
_TEMPLATES = (
    *("hydratedTemplate", "hydratedFourRowTemplate", "fourRowTemplate"),
    "interactiveMessageTemplate.header",
    "interactiveMessageTemplate.header.productMessage.product",
    "interactiveMessageTemplate.header.productMessage.catalog",
    "interactiveMessageTemplate.footer",
)
#: Parts that have a file beside others of their own, and where. Of a carousel's cards: none.
_HOLDERS = {
    "buttonsMessage": ("",),
    "templateMessage": _TEMPLATES,
    "highlyStructuredMessage": tuple(f"hydratedHsm.{path}" for path in _TEMPLATES),
    "interactiveMessage": (
        *("header", "header.productMessage.product", "header.productMessage.catalog", "footer"),
    ),
    "productMessage": ("product", "catalog"),
}
#: Files under other names than their kind's.
_HELD = {**{name: name for name in FILES}, **dict.fromkeys(_PICTURES, "imageMessage")}
_QUIET = {"messageContextInfo", "senderKeyDistributionMessage"}
#: Wrappings in wrappings that are looked through: all that protobuf reads (it ends at 100 levels).
_DEPTH = 100


def raw_of(payload: Raw) -> Raw | None:
    """The protobuf in a message's payload: of a received one, or of what was forwarded."""
    raw = payload.get("message")
    if raw is None and isinstance(content := payload.get("content"), dict):
        raw = content.get("message") if content.get("kind") == "forward" else None
    return raw if isinstance(raw, dict) else None


def part_of(raw: Any, *path: str) -> Raw:
    """A part of JSON that a stranger chose, by the names that lead to it; empty where there is
    none, or something else."""
    for step in path:
        raw = raw.get(step) if isinstance(raw, dict) else None
    return raw if isinstance(raw, dict) else {}


def main_part(raw: Raw) -> tuple[str, Any]:
    """The field that says what it is, and its part; wrappings (ephemeral, view once, document
    with caption, edited …) are looked through. Without one: an empty name."""
    for _ in range(_DEPTH):
        name = next((n for n in raw if n not in _QUIET), "")
        part = raw.get(name)
        inner = _wrapped(name, part)
        if inner is None:
            return name, part
        raw = inner
    return "", None


def kind_and_text(raw: Raw) -> tuple[str, str]:
    """(kind, text or caption); the kind is `empty` or `sender_key` where there is nothing else."""
    name, part = main_part(raw)
    if not name:
        return ("sender_key" if "senderKeyDistributionMessage" in raw else "empty"), ""
    return KINDS.get(name, name), _text(name, part)


def context_of(raw: Raw) -> Raw:
    """`contextInfo`: mentions, what it replies to, the timer of the chat; empty without one."""
    return part_of(main_part(raw)[1], "contextInfo")


def people_in(raw: Raw) -> set[str]:
    """JIDs that the message names besides its sender: who wrote what it quotes or is about."""
    part = main_part(raw)[1]
    if not isinstance(part, dict):
        return set()
    keys = ("contextInfo", "key", "pollCreationMessageKey", "eventCreationMessageKey")
    named = (part.get(key) for key in keys)
    found = {str(one.get("participant") or "") for one in named if isinstance(one, dict)}
    return found - {""}


def file_part(raw: Raw) -> tuple[str, Raw] | None:
    """The part with the message's file and its field, wherever it is; None without one."""
    name, part = main_part(raw)
    if not isinstance(part, dict):
        return None
    if name in FILES:
        return name, part
    for path in _HOLDERS.get(name, ()):
        held = part_of(part, *path.split(".")) if path else part
        for inner, kind in _HELD.items():
            if isinstance(found := held.get(inner), dict):
                return kind, found
    return None


def is_view_once(raw: Raw) -> bool:
    """Whether its sender let it be looked at once: it is passed on to nobody."""
    for _ in range(_DEPTH):
        name = next((n for n in raw if n not in _QUIET), "")
        part = raw.get(name)
        if name.startswith("viewOnce") or (isinstance(part, dict) and part.get("viewOnce") is True):
            return True
        inner = _wrapped(name, part)
        if inner is None:
            return False
        raw = inner
    return False


def has_text(kind: str) -> bool:
    """Whether another text can be given to a message of this kind."""
    return kind in {"text", "image", "video", "document"}


def with_text(raw: Raw, text: str) -> Raw:
    """The message as it is shown after an edit: another text, or another caption of its file.
    What belonged to the text before (a preview, mentions) is gone; what it replies to stays."""
    name, part = main_part(raw)
    if name in {"imageMessage", "videoMessage", "ptvMessage", "documentMessage"}:
        return _replaced(raw, part, {**part, "caption": text})
    context = {k: v for k, v in context_of(raw).items() if k != "mentionedJID"}
    if not context:
        return {"conversation": text}
    return {"extendedTextMessage": {"text": text, "contextInfo": context}}


def _replaced(raw: Raw, old: Any, new: Raw) -> Raw:
    """A copy in which a part is another one, in the same wrappings."""
    copied: Raw = {}
    for name, part in raw.items():
        if part is old:
            copied[name] = new
        elif (inner := _wrapped(name, part)) is not None:
            copied[name] = part | {"message": _replaced(inner, old, new)}
        else:
            copied[name] = part
    return copied


def _wrapped(name: str, part: Any) -> Raw | None:
    """The message in a wrapping; None for what is none."""
    if not isinstance(part, dict) or name in _NOTED or name == "protocolMessage":
        return None
    inner = part.get("message")
    return inner if isinstance(inner, dict) else None


def _text(name: str, part: Any) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        return ""
    if name == "protocolMessage":
        edited = part.get("editedMessage")
        return kind_and_text(edited)[1] if isinstance(edited, dict) else ""
    if name in _NOTED:
        note = part.get("noteMessage")
        return kind_and_text(note)[1] if isinstance(note, dict) else ""
    return next(_found(part, TEXTS.get(name, ())), "")


def _found(part: Raw, paths: tuple[str, ...]) -> Iterator[str]:
    for path in paths:
        value: Any = part
        for step in path.split("."):
            value = value.get(step) if isinstance(value, dict) else None
        if isinstance(value, str) and value:
            yield value
