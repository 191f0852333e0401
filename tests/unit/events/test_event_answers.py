"""Answers to event messages: opened with the event's secret, whichever addresses sealed them."""

from __future__ import annotations

import base64
import itertools
import os
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cluster.domain.event_answer import answered, sealing_key
from cluster.domain.message import StoredMessage

ALICE, BOB = ("1@s.whatsapp.net", "11@lid"), ("2@s.whatsapp.net", "22@lid")
SECRET, IV = os.urandom(32), os.urandom(12)
GOING = bytes([8, 1, 16, 5, 24, 2])


def message(kind: str, sender: str, address: str, **payload: Any) -> StoredMessage:
    return StoredMessage(
        message_id="E1",
        chat=ALICE[0],
        sender=sender,
        from_me=False,
        timestamp=datetime(2026, 1, 1, tzinfo=UTC),
        kind=kind,
        payload={"sender_address": address, **payload},
    )


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def answer(
    plain: bytes, asker: str, answerer: str, key: dict[str, Any], secret: bytes = SECRET
) -> StoredMessage:
    cipher = AESGCM(sealing_key(secret, "E1", asker, answerer))
    sealed = cipher.encrypt(IV, plain, f"E1\0{answerer}".encode())
    part = {"eventCreationMessageKey": key, "encPayload": text(sealed), "encIV": text(IV)}
    return message("event_response", BOB[0], "22:5@lid", message={"encEventResponseMessage": part})


@pytest.mark.parametrize(("asker", "answerer"), list(itertools.product(ALICE, BOB)))
@pytest.mark.parametrize("by_api", [True, False])
def test_either_address_of_either_side_may_have_sealed_it(
    asker: str, answerer: str, by_api: bool
) -> None:
    held = (
        {"content": {"_secret": text(SECRET)}}
        if by_api
        else {"message": {"messageContextInfo": {"messageSecret": text(SECRET)}}}
    )
    event = message("event", ALICE[0], "11:3@lid", **held)
    found = answered(answer(GOING, asker, answerer, {"ID": "E1"}), event)
    assert found == {"response": "GOING", "timestampMs": 5, "extraGuestCount": 2}


@pytest.mark.parametrize(
    ("plain", "response"),
    [
        (b"", "UNKNOWN"),
        (bytes([8, 2]), "NOT_GOING"),
        (bytes([8, 3, 34, 1, 120]), "MAYBE"),
        (bytes([8, 99]), "UNKNOWN"),
        (b"\xff" * 20, "UNKNOWN"),
    ],
)
def test_whatever_was_sealed_is_an_answer(plain: bytes, response: str) -> None:
    event = message("event", ALICE[0], ALICE[1], content={"_secret": text(SECRET)})
    found = answered(answer(plain, ALICE[0], BOB[0], {}), event)
    assert found is not None
    assert found["response"] == response
    assert found["timestampMs"] > 0


@pytest.mark.parametrize(
    "part",
    [
        {},
        {"encPayload": "AAAA", "encIV": "AAAA"},
        {"encPayload": 7, "encIV": "x"},
        {"encPayload": text(b"x" * 5000), "encIV": text(IV)},
        {"encPayload": text(b"x" * 40), "encIV": text(IV), "eventCreationMessageKey": "x"},
    ],
)
def test_what_a_stranger_made_up_is_none(part: dict[str, Any]) -> None:
    event = message("event", ALICE[0], ALICE[1], content={"_secret": text(SECRET)})
    made_up = message("event_response", BOB[0], BOB[1], message={"encEventResponseMessage": part})
    assert answered(made_up, event) is None
    right = answer(GOING, ALICE[0], BOB[0], {})
    assert answered(right, message("event", ALICE[0], ALICE[1], content={})) is None
    other = message("event", ALICE[0], ALICE[1], content={"_secret": text(os.urandom(32))})
    assert answered(right, other) is None
