"""Answers to event messages: sealed with the event's secret (whatsmeow: msgsecret.go)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator
from itertools import product
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from cluster.domain.jid import without_agent
from cluster.domain.message import StoredMessage
from cluster.domain.wire_message import part_of

__all__ = ["ANSWER", "answered", "key_of", "sealing_key"]

#: Key of an answer's payload: `response`, `timestampMs`, `extraGuestCount`; missing when it could
#: not be opened.
ANSWER = "event_answer"
#: `EventResponseMessage.EventResponseType`, waE2E.proto.
_RESPONSES = {0: "UNKNOWN", 1: "GOING", 2: "NOT_GOING", 3: "MAYBE"}
_RESPONSE, _AT, _GUESTS = 1, 2, 3
#: Bytes: an answer has three numbers.
_LONGEST = 256


def key_of(answer: StoredMessage) -> dict[str, Any]:
    """The protobuf's key of the event, from the answerer's point of view."""
    return part_of(answer.payload, "message", "encEventResponseMessage", "eventCreationMessageKey")


def answered(answer: StoredMessage, event: StoredMessage) -> dict[str, Any] | None:
    """What somebody answered to an event of the same chat; None when this secret, or none, opens
    it. People have two addresses: the device that sealed it has used one of each."""
    secret = _secret_of(event)
    part = part_of(answer.payload, "message", "encEventResponseMessage")
    sealed, nonce = _bytes(part.get("encPayload")), _bytes(part.get("encIV"))
    if secret is None or sealed is None or nonce is None or len(sealed) > _LONGEST:
        return None
    key = key_of(answer)
    answerers = set(_bare(answer.sender, answer.payload.get("sender_address")))
    askers = answerers | set(
        _bare(
            *(key.get("participant"), key.get("remoteJID")),
            *(event.sender, event.payload.get("sender_address")),
        )
    )
    for asker, answerer in product(sorted(askers), sorted(answerers)):
        opener = AESGCM(sealing_key(secret, event.message_id, asker, answerer))
        try:
            opened = opener.decrypt(nonce, sealed, f"{event.message_id}\0{answerer}".encode())
        except (InvalidTag, ValueError):
            continue
        numbers = dict(_numbers(opened))
        return {
            "response": _RESPONSES.get(numbers.get(_RESPONSE, 0), "UNKNOWN"),
            "timestampMs": numbers.get(_AT, int(answer.timestamp.timestamp() * 1000)),
            "extraGuestCount": numbers.get(_GUESTS, 0),
        }
    return None


def sealing_key(secret: bytes, event_id: str, asker: str, answerer: str) -> bytes:
    """JIDs without device."""
    info = f"{event_id}{asker}{answerer}Event Response".encode()
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(secret)


def _secret_of(event: StoredMessage) -> bytes | None:
    if (content := event.payload.get("content")) is not None:
        return _bytes(content.get("_secret"))
    context = part_of(event.payload, "message", "messageContextInfo")
    return _bytes(context.get("messageSecret"))


def _bytes(text: object) -> bytes | None:
    if not isinstance(text, str):
        return None
    try:
        return base64.b64decode(text, validate=True) or None
    except (binascii.Error, ValueError):
        return None


def _bare(*jids: object) -> Iterable[str]:
    for jid in jids:
        if isinstance(jid, str) and "@" in jid:
            yield "@".join(without_agent(jid))


def _numbers(message: bytes) -> Iterator[tuple[int, int]]:
    """Fields of a protobuf that has numbers alone; what follows anything else is left out."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while at < len(message) and shift < 64:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
        raise ValueError("cut off")

    try:
        while at < len(message):
            tag = varint()
            if tag & 7:
                return
            yield tag >> 3, varint()
    except ValueError:
        return
