"""A Baileys auth folder (`useMultiFileAuthState`) made into a device store of the library.

Taken over: the device's identity (noise, identity, signed pre-key, registration id, ADV account),
one-time pre-keys, app-state keys, LIDs. Left behind: Signal sessions and sender keys, which are of
another library's form and are negotiated anew, and app-state versions, which are fetched again.

Form of the folder: Baileys, `src/Utils/use-multi-file-auth-state.ts`, `src/Types/Auth.ts`; values
are JSON with `{"type": "Buffer", "data": base64}`, protobufs with plain base64.
"""

from __future__ import annotations

import base64
import binascii
import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from cluster.domain.errors import Invalid
from cluster.domain.jid import jid_user

__all__ = ["fill_from_baileys"]

_PRE_KEY = re.compile(r"pre-key-(\d{1,8})\.json\Z")
_SYNC_KEY = re.compile(r"app-state-sync-key-(.+)\.json\Z")
_LID = re.compile(r"lid-mapping-(\d{1,20})\.json\Z")
#: Decimals of a number of 63 bits, and devices of one account.
_DIGITS, _MOST_DEVICES = 19, 1000
_MAX_TEXT = 256
#: Of the ADV account: name in Baileys, column, bytes (0: any number).
_ACCOUNT = (
    ("details", "adv_details", 0),
    ("accountSignature", "adv_account_sig", 64),
    ("accountSignatureKey", "adv_account_sig_key", 32),
    ("deviceSignature", "adv_device_sig", 64),
)


def fill_from_baileys(store: Path, files: Mapping[str, Any]) -> None:
    """Write the device of the folder into `store`, which has the library's tables and no device.
    `files`: parsed JSON by file name. Raises `Invalid` when something needed is not there."""
    creds = files.get("creds.json")
    if not isinstance(creds, Mapping):
        raise Invalid("the folder has no creds.json", field="files")
    device = _device(creds)
    jid, lid = device["jid"], device["lid"]
    try:
        with closing(sqlite3.connect(store, isolation_level=None)) as db:
            db.execute("PRAGMA foreign_keys = ON")
            db.execute("BEGIN")
            names = ", ".join(device)
            marks = ", ".join(f":{name}" for name in device)
            db.execute(f"INSERT INTO whatsmeow_device ({names}) VALUES ({marks})", device)  # noqa: S608
            db.executemany(
                "INSERT INTO whatsmeow_pre_keys (jid, key_id, key, uploaded) VALUES (?, ?, ?, ?)",
                [(jid, *one) for one in _pre_keys(creds, files)],
            )
            db.executemany(
                "INSERT INTO whatsmeow_app_state_sync_keys "
                "(jid, key_id, key_data, timestamp, fingerprint) VALUES (?, ?, ?, ?, ?)",
                [(jid, *one) for one in _sync_keys(files)],
            )
            db.executemany(
                "INSERT OR IGNORE INTO whatsmeow_lid_map (lid, pn) VALUES (?, ?)",
                _lids(files, creds),
            )
            if lid:
                # The account's own phone, as pairing notes it (whatsmeow pair.go): Signal knows
                # LIDs by `user_1`.
                db.execute(
                    "INSERT INTO whatsmeow_identity_keys (our_jid, their_id, identity) "
                    "VALUES (?, ?, ?)",
                    (jid, f"{jid_user(lid)}_1:0", device["adv_account_sig_key"]),
                )
            db.execute("COMMIT")
    except (sqlite3.Error, OverflowError) as error:
        raise Invalid(f"the folder's keys do not fit together: {error}", field="files") from error


def _device(creds: Mapping[str, Any]) -> dict[str, Any]:
    me, account = creds.get("me"), creds.get("account")
    if not isinstance(me, Mapping) or not isinstance(account, Mapping) or "id" not in me:
        raise Invalid("creds.json is of a device that was never linked", field="files")
    signed = creds.get("signedPreKey")
    if not isinstance(signed, Mapping):
        raise Invalid("creds.json has no signedPreKey", field="files")
    found: dict[str, Any] = {
        "jid": _jid(me["id"], "s.whatsapp.net"),
        "lid": _jid(me["lid"], "lid") if me.get("lid") else "",
        "registration_id": _number(creds, "registrationId"),
        "noise_key": _private(creds, "noiseKey"),
        "identity_key": _private(creds, "signedIdentityKey"),
        "signed_pre_key": _private(signed, "keyPair"),
        "signed_pre_key_id": _number(signed, "keyId"),
        "signed_pre_key_sig": _bytes(signed.get("signature"), 64, "signedPreKey.signature"),
        "adv_key": _bytes(creds.get("advSecretKey"), 32, "advSecretKey"),
        "platform": str(creds.get("platform") or "")[:_MAX_TEXT],
        "push_name": str(me.get("name") or "")[:_MAX_TEXT],
    }
    for name, column, size in _ACCOUNT:
        found[column] = _bytes(account.get(name), size, f"account.{name}")
    return found


def _pre_keys(
    creds: Mapping[str, Any], files: Mapping[str, Any]
) -> Iterator[tuple[int, bytes, bool]]:
    first_at_home = _optional(creds, "firstUnuploadedPreKeyId")
    for name, content in files.items():
        if (match := _PRE_KEY.match(name)) and isinstance(content, Mapping):
            number = int(match[1])
            if 0 < number < 1 << 24:
                yield number, _private({name: content}, name), number < first_at_home


def _sync_keys(files: Mapping[str, Any]) -> Iterator[tuple[bytes, bytes, int, bytes]]:
    for name, content in files.items():
        if (match := _SYNC_KEY.match(name)) and isinstance(content, Mapping):
            fingerprint = content.get("fingerprint") or {}
            devices = (
                fingerprint.get("deviceIndexes") or () if isinstance(fingerprint, Mapping) else None
            )
            if not isinstance(devices, list | tuple) or len(devices) > _MOST_DEVICES:
                raise Invalid(f"{name} has no fingerprint that can be read", field="files")
            numbers = {str(at): one for at, one in enumerate(devices)}
            indexes = b"".join(_varint(_optional(numbers, at)) for at in numbers)
            # Message.AppStateSyncKeyFingerprint, without loading the library into this process.
            fingerprint = (
                b"\x08"
                + _varint(_optional(fingerprint, "rawId"))
                + b"\x10"
                + _varint(_optional(fingerprint, "currentIndex"))
                + b"\x1a"
                + _varint(len(indexes))
                + indexes
            )
            yield (
                # `/` cannot be in a file's name.
                _bytes(match[1].replace("__", "/"), 0, name),
                _bytes(content.get("keyData"), 0, name),
                _optional(content, "timestamp"),
                fingerprint,
            )


def _lids(files: Mapping[str, Any], creds: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    me = creds["me"]
    if me.get("lid"):
        yield jid_user(me["lid"]), jid_user(me["id"])
    for name, content in files.items():
        if (match := _LID.match(name)) and isinstance(content, str) and content.isdigit():
            yield content, match[1]


def _private(holder: Mapping[str, Any], name: str) -> bytes:
    """The private key of a pair. Raises `Invalid` unless both halves belong together."""
    pair = holder.get(name)
    if not isinstance(pair, Mapping):
        raise Invalid(f"creds.json has no {name}", field="files")
    private = _bytes(pair.get("private"), 32, f"{name}.private")
    public = _bytes(pair.get("public"), 0, f"{name}.public")
    # Signal writes public keys with the type (5) in front.
    if X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw() != public[-32:]:
        raise Invalid(f"the two halves of {name} do not belong together", field="files")
    return private


def _bytes(value: Any, size: int, what: str) -> bytes:
    """Bytes as Baileys writes them: base64, a Buffer of base64 or of numbers. `size`: 0 for any."""
    if isinstance(value, Mapping):
        value = value.get("data", value.get("value"))
    try:
        if isinstance(value, str):
            found = base64.b64decode(value, validate=True)
        elif isinstance(value, list):
            found = bytes(value)
        else:
            raise Invalid(f"{what} is missing", field="files")
    except (binascii.Error, ValueError, TypeError) as error:
        raise Invalid(f"{what} is not bytes", field="files") from error
    if not found or (size and len(found) != size):
        raise Invalid(f"{what} has {len(found)} bytes, not {size}", field="files")
    return found


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _number(holder: Mapping[str, Any], name: str) -> int:
    if holder.get(name) is None:
        raise Invalid(f"creds.json has no {name}", field="files")
    return _optional(holder, name)


def _optional(holder: Mapping[str, Any], name: str) -> int:
    """A number, also one in a text (Baileys writes large ones so); 0 where there is none. Raises
    `Invalid` unless it fits into 63 bits without a sign."""
    value = holder.get(name) or 0
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _DIGITS:
        value = int(value)
    if not isinstance(value, int) or not 0 <= value < 1 << 63:
        raise Invalid(f"{name} is no number that can be kept", field="files")
    return value


def _jid(text: Any, server: str) -> str:
    """`user:device@server`."""
    if not re.fullmatch(rf"\d{{1,20}}:\d{{1,5}}@{re.escape(server)}", str(text)):
        raise Invalid(f"{text!r} is not the JID of a linked device", field="files")
    return str(text)
