"""What Baileys would have written for a device that is in a whatsmeow store: `creds.json` and the
key files of `useMultiFileAuthState`, in the forms that its `BufferJSON` writes."""

from __future__ import annotations

import base64
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

__all__ = ["baileys_files"]


def baileys_files(store: Path) -> dict[str, Any]:
    """Parsed files by name, of the one device in `store`."""
    with closing(sqlite3.connect(store)) as db:
        db.row_factory = sqlite3.Row
        device = db.execute("SELECT * FROM whatsmeow_device").fetchone()
        pre_keys = db.execute("SELECT * FROM whatsmeow_pre_keys").fetchall()
        sync_keys = db.execute("SELECT * FROM whatsmeow_app_state_sync_keys").fetchall()
    creds = {
        "noiseKey": _pair(device["noise_key"]),
        "pairingEphemeralKeyPair": _pair(bytes(31) + b"\x01"),
        "signedIdentityKey": _pair(device["identity_key"]),
        "signedPreKey": {
            "keyPair": _pair(device["signed_pre_key"]),
            "signature": _buffer(device["signed_pre_key_sig"]),
            "keyId": device["signed_pre_key_id"],
        },
        "registrationId": device["registration_id"],
        "advSecretKey": _text(device["adv_key"]),
        "processedHistoryMessages": [],
        "nextPreKeyId": max(row["key_id"] for row in pre_keys) + 1,
        "firstUnuploadedPreKeyId": max(row["key_id"] for row in pre_keys) + 1,
        "accountSyncCounter": 1,
        "accountSettings": {"unarchiveChats": False},
        "registered": True,
        "me": {"id": device["jid"], "lid": device["lid"], "name": device["push_name"]},
        "account": {
            "details": _text(device["adv_details"]),
            "accountSignatureKey": _text(device["adv_account_sig_key"]),
            "accountSignature": _text(device["adv_account_sig"]),
            "deviceSignature": _text(device["adv_device_sig"]),
        },
        "platform": device["platform"],
    }
    files: dict[str, Any] = {"creds.json": creds}
    for row in pre_keys:
        files[f"pre-key-{row['key_id']}.json"] = _pair(row["key"])
    for row in sync_keys:
        name = _text(row["key_id"]).replace("/", "__")
        files[f"app-state-sync-key-{name}.json"] = {
            "keyData": _text(row["key_data"]),
            "fingerprint": {"rawId": 1, "currentIndex": 0, "deviceIndexes": [0, 1]},
            "timestamp": str(row["timestamp"]),
        }
    # What cannot be taken over must not disturb.
    files["session-766834914770037_1.0.json"] = {"_sessions": {}, "version": "v1"}
    files["sender-key-memory-1@g.us.json"] = {}
    return files


def _pair(private: bytes) -> dict[str, Any]:
    public = X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()
    return {"private": _buffer(private), "public": _buffer(public)}


def _buffer(data: bytes) -> dict[str, str]:
    return {"type": "Buffer", "data": _text(data)}


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
