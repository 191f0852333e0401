"""App state: an account's settings as encrypted, MACed patches (whatsmeow: appstate/).

A collection is a set of records, index MAC -> encrypted value. The server holds records and
versions without any key (`Collection.apply`, `Collection.snapshot`); the phone and its devices
hold sync keys, make patches (`encode_patch`) and check them (`decode_patch`, `decode_snapshot`).
The settings themselves are built in `settings`.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sandbox.crypto import aes_cbc, hkdf, lthash
from sandbox.crypto.media import EncryptedMedia
from sandbox.crypto.protobuf import DecodeError, wa

CRITICAL_BLOCK = "critical_block"
CRITICAL_UNBLOCK_LOW = "critical_unblock_low"
REGULAR_LOW = "regular_low"
REGULAR_HIGH = "regular_high"
REGULAR = "regular"
COLLECTIONS = (CRITICAL_BLOCK, CRITICAL_UNBLOCK_LOW, REGULAR_HIGH, REGULAR, REGULAR_LOW)

MAC_SIZE = 32


class AppStateError(ValueError):
    """A patch or snapshot is malformed, or a MAC in it is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncKey:
    """An app state key, which the phone makes and shares with its devices."""

    #: 6 bytes: key epoch and device, as WhatsApp numbers them; opaque here
    id: bytes
    #: 32 bytes
    data: bytes = field(repr=False)

    @classmethod
    def generate(cls) -> SyncKey:
        """A new key with a random id."""
        return cls(id=bytes(2) + os.urandom(4), data=os.urandom(32))


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """One setting, in the clear."""

    #: what it is about: the action's name and its parameters, such as ("mute", "…@s.whatsapp.net")
    index: tuple[str, ...]
    #: a `SyncActionValue`
    value: Any
    #: fixed per action (whatsmeow: appstate/encode.go)
    version: int
    #: whether the record goes away instead of being set
    remove: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """A collection as everyone sees it who has applied the same patches."""

    name: str
    version: int = 0
    #: LTHash over the value MACs of all records, 128 bytes
    hash: bytes = field(default=lthash.EMPTY, repr=False)
    #: index MAC -> serialised SyncdRecord
    records: Mapping[bytes, bytes] = field(default_factory=dict, repr=False)
    #: snapshot MAC of the last patch; proves version and hash to those who have the key
    mac: bytes = field(default=b"", repr=False)
    #: id of the sync key that MAC was made with
    key_id: bytes = b""

    def apply(self, patch: bytes) -> tuple[Collection, bytes]:
        """Take a patch in without any key, as the server does.

        Gives the new collection and the patch as it is to be handed out: numbered, since whoever
        sends one leaves the version out.

        Raises:
            AppStateError: not a patch, or numbered otherwise than next.
        """
        parsed = _parse(wa.SyncdPatch, patch)
        version = self.version + 1
        if parsed.version.version not in (0, version):
            raise AppStateError(f"patch {parsed.version.version} does not follow {self.version}")
        parsed.version.version = version
        return self._after(parsed), bytes(parsed.SerializeToString())

    def snapshot(self) -> bytes:
        """All records as a serialised SyncdSnapshot; also the form to persist."""
        snapshot = wa.SyncdSnapshot(
            version=wa.SyncdVersion(version=self.version),
            records=[wa.SyncdRecord.FromString(record) for record in self.records.values()],
            mac=self.mac,
            keyId=wa.KeyId(id=self.key_id),
        )
        return bytes(snapshot.SerializeToString())

    @classmethod
    def from_snapshot(cls, name: str, snapshot: bytes) -> Collection:
        """The collection a snapshot holds; its MAC is not checked (see `decode_snapshot`).

        Raises:
            AppStateError: not a snapshot.
        """
        parsed = _parse(wa.SyncdSnapshot, snapshot)
        return cls(
            name=name,
            version=parsed.version.version,
            hash=lthash.subtract_then_add(lthash.EMPTY, (), map(_value_mac, parsed.records)),
            records={record.index.blob: record.SerializeToString() for record in parsed.records},
            mac=parsed.mac,
            key_id=parsed.keyId.id,
        )

    def _after(self, patch: Any) -> Collection:
        records = dict(self.records)
        removed: list[bytes] = []
        added: list[bytes] = []
        for mutation in patch.mutations:
            record = mutation.record
            previous = records.pop(record.index.blob, None)
            if previous is not None:
                removed.append(_value_mac(wa.SyncdRecord.FromString(previous)))
            if mutation.operation == wa.SyncdMutation.SET:
                added.append(_value_mac(record))
                records[record.index.blob] = record.SerializeToString()
        return Collection(
            name=self.name,
            version=patch.version.version,
            hash=lthash.subtract_then_add(self.hash, removed, added),
            records=records,
            mac=patch.snapshotMac,
            key_id=patch.keyId.id,
        )


def encode_patch(
    collection: Collection, key: SyncKey, mutations: Iterable[Mutation], *, now: datetime
) -> bytes:
    """A serialised SyncdPatch that follows `collection`, ready for `Collection.apply`.

    `now` becomes the timestamp of every setting.
    """
    keys = _Keys.expand(key)
    patch = wa.SyncdPatch(keyId=wa.KeyId(id=key.id))
    for mutation in mutations:
        value = wa.SyncActionValue()
        value.CopyFrom(mutation.value)
        value.timestamp = int(now.timestamp() * 1000)
        index = json.dumps(mutation.index, separators=(",", ":"), ensure_ascii=False).encode()
        data = wa.SyncActionData(index=index, value=value, padding=b"", version=mutation.version)
        iv = os.urandom(aes_cbc.BLOCK_SIZE)
        content = iv + aes_cbc.encrypt(keys.value, iv, data.SerializeToString())
        operation = wa.SyncdMutation.REMOVE if mutation.remove else wa.SyncdMutation.SET
        mac = keys.content_mac(operation, content, key.id)
        record = wa.SyncdRecord(
            index=wa.SyncdIndex(blob=keys.index_mac(index)),
            value=wa.SyncdValue(blob=content + mac),
            keyId=wa.KeyId(id=key.id),
        )
        patch.mutations.append(wa.SyncdMutation(operation=operation, record=record))
    patch.version.version = collection.version + 1
    after = collection._after(patch)
    patch.snapshotMac = keys.snapshot_mac(after)
    patch.patchMac = keys.patch_mac(patch, after)
    return bytes(patch.SerializeToString())


def decode_patch(
    collection: Collection, patch: bytes, keys: Mapping[bytes, SyncKey]
) -> tuple[Collection, list[Mutation]]:
    """Check every MAC of a patch and read it; `keys` are the account's, by id.

    Gives the collection after it and the settings in it.

    Raises:
        AppStateError: malformed, of an unknown key, not the next one, or a MAC is wrong.
    """
    after, numbered = collection.apply(patch)
    parsed = _parse(wa.SyncdPatch, numbered)
    expanded = _keys_of(keys, parsed.keyId.id)
    if not hmac.compare_digest(expanded.snapshot_mac(after), parsed.snapshotMac):
        raise AppStateError(f"snapshot MAC of patch {after.version} of {after.name} differs")
    if not hmac.compare_digest(expanded.patch_mac(parsed, after), parsed.patchMac):
        raise AppStateError(f"patch MAC of patch {after.version} of {after.name} differs")
    return after, [_read(item.operation, item.record, keys) for item in parsed.mutations]


def decode_snapshot(
    name: str, snapshot: bytes, keys: Mapping[bytes, SyncKey]
) -> tuple[Collection, list[Mutation]]:
    """Check every MAC of a snapshot and read it; raises AppStateError like `decode_patch`."""
    collection = Collection.from_snapshot(name, snapshot)
    expanded = _keys_of(keys, collection.key_id)
    if not hmac.compare_digest(expanded.snapshot_mac(collection), collection.mac):
        raise AppStateError(f"MAC of snapshot {collection.version} of {name} differs")
    return collection, [
        _read(wa.SyncdMutation.SET, wa.SyncdRecord.FromString(record), keys)
        for record in collection.records.values()
    ]


def external_blob(media: EncryptedMedia, *, direct_path: str) -> bytes:
    """The content of a `<snapshot>`: a serialised ExternalBlobReference to an uploaded one.

    `media` is the snapshot encrypted as `MediaType.APP_STATE`, `direct_path` where the media
    server serves its blob; whatsmeow needs a `?` in it.
    """
    reference = wa.ExternalBlobReference(
        mediaKey=media.media_key,
        directPath=direct_path,
        fileSizeBytes=media.file_length,
        fileSha256=media.file_sha256,
        fileEncSha256=media.file_enc_sha256,
    )
    return bytes(reference.SerializeToString())


def key_share(keys: Iterable[SyncKey], *, raw_id: int, now: datetime) -> Any:
    """The `Message` with which a phone gives sync keys to its devices (message.go)."""
    share = wa.Message.AppStateSyncKeyShare()
    for key in keys:
        item = share.keys.add()
        item.keyId.keyId = key.id
        item.keyData.keyData = key.data
        item.keyData.timestamp = int(now.timestamp() * 1000)
        item.keyData.fingerprint.rawId = raw_id
        item.keyData.fingerprint.currentIndex = 0
        item.keyData.fingerprint.deviceIndexes.append(0)
    protocol = wa.Message.ProtocolMessage(
        type=wa.Message.ProtocolMessage.APP_STATE_SYNC_KEY_SHARE, appStateSyncKeyShare=share
    )
    return wa.Message(protocolMessage=protocol)


@dataclass(frozen=True, slots=True)
class _Keys:
    """What a sync key expands to (whatsmeow: expandAppStateKeys)."""

    index: bytes
    value: bytes
    value_mac: bytes
    snapshot: bytes
    patch: bytes

    @classmethod
    def expand(cls, key: SyncKey) -> _Keys:
        data = hkdf.derive(key.data, 160, info=b"WhatsApp Mutation Keys")
        return cls(*(data[start : start + 32] for start in range(0, 160, 32)))

    def index_mac(self, index: bytes) -> bytes:
        return hmac.digest(self.index, index, hashlib.sha256)

    def content_mac(self, operation: int, content: bytes, key_id: bytes) -> bytes:
        text = bytes([operation + 1]) + key_id + content + (len(key_id) + 1).to_bytes(8, "big")
        return hmac.digest(self.value_mac, text, hashlib.sha512)[:MAC_SIZE]

    def snapshot_mac(self, collection: Collection) -> bytes:
        text = collection.hash + collection.version.to_bytes(8, "big") + collection.name.encode()
        return hmac.digest(self.snapshot, text, hashlib.sha256)

    def patch_mac(self, patch: Any, after: Collection) -> bytes:
        macs = b"".join(_value_mac(mutation.record) for mutation in patch.mutations)
        text = patch.snapshotMac + macs + after.version.to_bytes(8, "big") + after.name.encode()
        return hmac.digest(self.patch, text, hashlib.sha256)


def _read(operation: int, record: Any, keys: Mapping[bytes, SyncKey]) -> Mutation:
    key_id = record.keyId.id
    expanded = _keys_of(keys, key_id)
    content, mac = record.value.blob[:-MAC_SIZE], _value_mac(record)
    if not hmac.compare_digest(expanded.content_mac(operation, content, key_id), mac):
        raise AppStateError("content MAC of a setting differs")
    iv, ciphertext = content[: aes_cbc.BLOCK_SIZE], content[aes_cbc.BLOCK_SIZE :]
    try:
        data = _parse(wa.SyncActionData, aes_cbc.decrypt(expanded.value, iv, ciphertext))
        index = tuple(json.loads(data.index))
    except (TypeError, ValueError) as error:
        raise AppStateError("a setting does not decrypt") from error
    if not hmac.compare_digest(expanded.index_mac(data.index), record.index.blob):
        raise AppStateError("index MAC of a setting differs")
    remove = operation == wa.SyncdMutation.REMOVE
    return Mutation(index=index, value=data.value, version=data.version, remove=remove)


def _keys_of(keys: Mapping[bytes, SyncKey], key_id: bytes) -> _Keys:
    try:
        return _Keys.expand(keys[key_id])
    except KeyError as error:
        raise AppStateError(f"unknown sync key {key_id.hex()}") from error


def _value_mac(record: Any) -> bytes:
    blob: bytes = record.value.blob
    if len(blob) < MAC_SIZE:
        raise AppStateError("a record is too short for its MAC")
    return blob[-MAC_SIZE:]


def _parse(kind: Any, data: bytes) -> Any:
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise AppStateError(f"not a {kind.__name__}") from error
