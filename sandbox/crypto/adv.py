"""ADV, "authenticated device verification": how a phone vouches for a linked device.

The client's side is whatsmeow's pair.go (handlePair, verifyAccountSignature,
generateDeviceSignature). The signed key-index list, which shows other devices which key indexes
of an account are still valid, is not checked by whatsmeow; its prefix is WhatsApp Web's.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from datetime import datetime

from sandbox.crypto.keys import KeyPair, verify
from sandbox.crypto.protobuf import DecodeError, wa

ACCOUNT_SIGNATURE_PREFIX = b"\x06\x00"
DEVICE_SIGNATURE_PREFIX = b"\x06\x01"
KEY_INDEX_LIST_PREFIX = b"\x06\x02"


class AdvError(ValueError):
    """A device identity is not what it claims to be."""


def sign_device(
    account: KeyPair,
    *,
    adv_secret: bytes,
    device_identity: bytes,
    raw_id: int,
    key_index: int,
    now: datetime,
) -> bytes:
    """What `<device-identity>` of `pair-success` holds: a serialised ADVSignedDeviceIdentityHMAC.

    `account` is the phone's identity, `adv_secret` the secret of the QR code (32 bytes) or of the
    link code, `device_identity` the new device's identity key (32 bytes), `raw_id` a number of
    the account's own that changes when it registers anew.
    """
    details = wa.ADVDeviceIdentity(
        rawId=raw_id, timestamp=int(now.timestamp()), keyIndex=key_index
    ).SerializeToString()
    signed = wa.ADVSignedDeviceIdentity(
        details=details,
        accountSignatureKey=account.public,
        accountSignature=account.sign(ACCOUNT_SIGNATURE_PREFIX + details + device_identity),
    ).SerializeToString()
    container = wa.ADVSignedDeviceIdentityHMAC(
        details=signed, hmac=hmac.digest(adv_secret, signed, hashlib.sha256)
    )
    return bytes(container.SerializeToString())


def check_device_sign(self_signed: bytes, *, account: bytes, device_identity: bytes) -> int:
    """Check the `<pair-device-sign>` a client answers with; gives its key index.

    `self_signed` is the serialised ADVSignedDeviceIdentity (the client takes the account's key
    out of it), `account` and `device_identity` are public keys (32 bytes).

    Raises:
        AdvError: either signature is wrong.
    """
    try:
        identity = wa.ADVSignedDeviceIdentity.FromString(self_signed)
        details = wa.ADVDeviceIdentity.FromString(identity.details)
    except DecodeError as error:
        raise AdvError("not a signed device identity") from error
    by_account = ACCOUNT_SIGNATURE_PREFIX + identity.details + device_identity
    if not verify(account, by_account, identity.accountSignature):
        raise AdvError("the account did not sign this device")
    by_device = DEVICE_SIGNATURE_PREFIX + identity.details + device_identity + account
    if not verify(device_identity, by_device, identity.deviceSignature):
        raise AdvError("the device did not sign itself")
    return int(details.keyIndex)


def sign_key_index_list(
    account: KeyPair,
    *,
    raw_id: int,
    current_index: int,
    valid_indexes: Iterable[int],
    now: datetime,
) -> bytes:
    """What `<key-index-list>` of a device list holds: a serialised ADVSignedKeyIndexList.

    `current_index` is the highest key index ever given, `valid_indexes` those still linked.
    """
    details = wa.ADVKeyIndexList(
        rawId=raw_id,
        timestamp=int(now.timestamp()),
        currentIndex=current_index,
        validIndexes=sorted(valid_indexes),
    ).SerializeToString()
    signed = wa.ADVSignedKeyIndexList(
        details=details,
        accountSignature=account.sign(KEY_INDEX_LIST_PREFIX + details),
        accountSignatureKey=account.public,
    )
    return bytes(signed.SerializeToString())
