"""Linking, as whatsmeow's pair.go checks and answers it."""

from __future__ import annotations

import hashlib
import hmac
import os
from datetime import UTC, datetime

import pytest

from sandbox.crypto import adv
from sandbox.crypto.keys import KeyPair, verify
from sandbox.crypto.protobuf import wa

NOW = datetime(2026, 1, 2, tzinfo=UTC)
ACCOUNT, DEVICE = KeyPair.generate(), KeyPair.generate()


def client_answers(container: bytes, secret: bytes) -> bytes:
    """What handlePair does: check, sign, send back without the account's key."""
    parsed = wa.ADVSignedDeviceIdentityHMAC.FromString(container)
    assert hmac.digest(secret, parsed.details, hashlib.sha256) == parsed.hmac
    identity = wa.ADVSignedDeviceIdentity.FromString(parsed.details)
    assert verify(
        identity.accountSignatureKey,
        b"\x06\x00" + identity.details + DEVICE.public,
        identity.accountSignature,
    )
    identity.deviceSignature = DEVICE.sign(
        b"\x06\x01" + identity.details + DEVICE.public + identity.accountSignatureKey
    )
    identity.ClearField("accountSignatureKey")
    return bytes(identity.SerializeToString())


@pytest.fixture
def answer() -> bytes:
    secret = os.urandom(32)
    container = adv.sign_device(
        ACCOUNT,
        adv_secret=secret,
        device_identity=DEVICE.public,
        raw_id=7,
        key_index=3,
        now=NOW,
    )
    return client_answers(container, secret)


def test_a_device_that_signs_itself_is_linked_under_its_key_index(answer: bytes) -> None:
    assert adv.check_device_sign(answer, account=ACCOUNT.public, device_identity=DEVICE.public) == 3


def test_another_account_or_device_is_refused(answer: bytes) -> None:
    other = KeyPair.generate().public
    with pytest.raises(adv.AdvError, match="account"):
        adv.check_device_sign(answer, account=other, device_identity=DEVICE.public)
    with pytest.raises(adv.AdvError, match="account"):
        adv.check_device_sign(answer, account=ACCOUNT.public, device_identity=other)


def test_a_device_that_did_not_sign_is_refused(answer: bytes) -> None:
    identity = wa.ADVSignedDeviceIdentity.FromString(answer)
    identity.ClearField("deviceSignature")
    with pytest.raises(adv.AdvError, match="device did not sign"):
        adv.check_device_sign(
            identity.SerializeToString(), account=ACCOUNT.public, device_identity=DEVICE.public
        )


def test_garbage_is_refused() -> None:
    with pytest.raises(adv.AdvError):
        adv.check_device_sign(b"\xff", account=ACCOUNT.public, device_identity=DEVICE.public)


def test_the_key_index_list_is_signed_by_the_account() -> None:
    signed = wa.ADVSignedKeyIndexList.FromString(
        adv.sign_key_index_list(
            ACCOUNT, raw_id=7, current_index=4, valid_indexes={4, 0, 2}, now=NOW
        )
    )
    assert verify(ACCOUNT.public, b"\x06\x02" + signed.details, signed.accountSignature)
    details = wa.ADVKeyIndexList.FromString(signed.details)
    assert (details.rawId, details.currentIndex, list(details.validIndexes)) == (7, 4, [0, 2, 4])
