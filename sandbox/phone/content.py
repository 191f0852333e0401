"""What a phone sends and how a received message reads. Pure."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from google.protobuf.json_format import MessageToDict

from sandbox.crypto import poll as poll_crypto
from sandbox.crypto.media import EncryptedMedia, MediaType
from sandbox.crypto.protobuf import wa

__all__ = [
    "attachment",
    "describe",
    "edit",
    "poll",
    "reaction",
    "revoke",
    "text",
    "unwrapped",
    "vote",
]

_ATTACHMENTS = {
    "image": (MediaType.IMAGE, "imageMessage"),
    "video": (MediaType.VIDEO, "videoMessage"),
    "audio": (MediaType.AUDIO, "audioMessage"),
    "document": (MediaType.DOCUMENT, "documentMessage"),
    "sticker": (MediaType.IMAGE, "stickerMessage"),
}
MEDIA_TYPES = {field: kind for kind, field in _ATTACHMENTS.values()} | {
    "ptvMessage": MediaType.VIDEO
}


def text(body: str, *, quoted: dict[str, str] | None = None) -> Any:
    """A text; `quoted`: id, participant (JID) and body of what it replies to."""
    if not quoted:
        return wa.Message(conversation=body)
    context = wa.ContextInfo(stanzaId=quoted["id"], participant=quoted["participant"])
    context.quotedMessage.CopyFrom(wa.Message(conversation=quoted.get("body", "")))
    return wa.Message(
        extendedTextMessage=wa.Message.ExtendedTextMessage(text=body, contextInfo=context)
    )


def _key(chat: str, id: str, *, from_me: bool, participant: str) -> Any:
    key = wa.MessageKey(remoteJid=chat, fromMe=from_me, id=id)
    if participant:
        key.participant = participant
    return key


def reaction(emoji: str, *, chat: str, id: str, from_me: bool, participant: str = "") -> Any:
    """A reaction to a message; an empty emoji takes it back."""
    return wa.Message(
        reactionMessage=wa.Message.ReactionMessage(
            key=_key(chat, id, from_me=from_me, participant=participant),
            text=emoji,
            senderTimestampMs=int(time.time() * 1000),
        )
    )


def revoke(*, chat: str, id: str) -> Any:
    """Delete one's own message for everyone."""
    return wa.Message(
        protocolMessage=wa.Message.ProtocolMessage(
            key=_key(chat, id, from_me=True, participant=""),
            type=wa.Message.ProtocolMessage.REVOKE,
        )
    )


def edit(body: str, *, chat: str, id: str) -> Any:
    """Another text for one's own message."""
    return wa.Message(
        protocolMessage=wa.Message.ProtocolMessage(
            key=_key(chat, id, from_me=True, participant=""),
            type=wa.Message.ProtocolMessage.MESSAGE_EDIT,
            editedMessage=wa.Message(conversation=body),
            timestampMs=int(time.time() * 1000),
        )
    )


def poll(question: str, options: Sequence[str], *, secret: bytes) -> Any:
    """A poll with one answer; votes are encrypted with its secret (32 bytes)."""
    return wa.Message(
        pollCreationMessage=wa.Message.PollCreationMessage(
            name=question,
            options=[wa.Message.PollCreationMessage.Option(optionName=o) for o in options],
            selectableOptionsCount=1,
        ),
        messageContextInfo=wa.MessageContextInfo(messageSecret=secret),
    )


def vote(
    options: Sequence[str],
    *,
    secret: bytes,
    poll_id: str,
    chat: str,
    author: str,
    voter: str,
    participant: str = "",
) -> Any:
    """A vote in somebody else's poll; JIDs without device."""
    plain = wa.Message.PollVoteMessage(selectedOptions=poll_crypto.hashes(options))
    iv, payload = poll_crypto.seal_vote(
        secret, plain.SerializeToString(), poll_id=poll_id, author=author, voter=voter
    )
    return wa.Message(
        pollUpdateMessage=wa.Message.PollUpdateMessage(
            pollCreationMessageKey=_key(chat, poll_id, from_me=False, participant=participant),
            vote=wa.Message.PollEncValue(encPayload=payload, encIv=iv),
            senderTimestampMs=int(time.time() * 1000),
        )
    )


def event_answer(
    response: str,
    *,
    guests: int,
    secret: bytes,
    event_id: str,
    chat: str,
    author: str,
    answerer: str,
    participant: str = "",
) -> Any:
    """An answer to somebody else's event: GOING, NOT_GOING or MAYBE; JIDs without device."""
    kind = wa.Message.EventResponseMessage
    plain = kind(
        response=kind.EventResponseType.Value(response),
        timestampMs=int(time.time() * 1000),
        extraGuestCount=guests,
    )
    iv, payload = poll_crypto.seal_vote(
        *(secret, plain.SerializeToString()),
        poll_id=event_id,
        author=author,
        voter=answerer,
        use="Event Response",
    )
    return wa.Message(
        encEventResponseMessage=wa.Message.EncEventResponseMessage(
            eventCreationMessageKey=_key(chat, event_id, from_me=False, participant=participant),
            encPayload=payload,
            encIv=iv,
        )
    )


def attachment_kind(kind: str) -> MediaType:
    """Raises KeyError for an unknown kind."""
    return _ATTACHMENTS[kind][0]


def attachment(
    kind: str, media: EncryptedMedia, *, path: str, mimetype: str, caption: str, filename: str
) -> Any:
    """The message of an uploaded attachment."""
    field = _ATTACHMENTS[kind][1]
    message = wa.Message()
    part = getattr(message, field)
    part.url = f"https://mmg.whatsapp.net{path}"
    part.directPath = path
    part.mediaKey, part.fileLength = media.media_key, media.file_length
    part.fileSha256, part.fileEncSha256 = media.file_sha256, media.file_enc_sha256
    part.mimetype = mimetype
    if caption and kind != "sticker":
        part.caption = caption
    if filename and kind == "document":
        part.fileName = filename
    return message


#: fields that hold another message
_WRAPPINGS = ("documentWithCaptionMessage", "viewOnceMessage", "ephemeralMessage", "editedMessage")


def unwrapped(message: Any) -> Any:
    """The message inside of the wrappings that some kinds have."""
    for name in _WRAPPINGS:
        if message.HasField(name):
            return unwrapped(getattr(message, name).message)
    return message


def describe(message: Any) -> dict[str, Any]:
    """`type`, `text` and the whole message as JSON."""
    message = unwrapped(message)
    fields = [f.name for f, _ in message.ListFields() if f.name != "messageContextInfo"]
    name = next((f for f in fields if f != "senderKeyDistributionMessage"), "")
    body = ""
    if name == "conversation":
        body = message.conversation
    elif name:
        part = getattr(message, name)
        body = next((v for v in (getattr(part, a, "") for a in ("text", "caption")) if v), "")
        if name == "protocolMessage" and part.HasField("editedMessage"):
            body = describe(part.editedMessage)["text"]
    return {"type": name, "text": str(body), "message": MessageToDict(message)}
