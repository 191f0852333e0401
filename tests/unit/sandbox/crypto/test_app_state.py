"""App state: patches and snapshots that every holder of the key believes, and nobody forges.

`pyaileys` is the second opinion: an independent port of the checks whatsmeow makes.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyaileys.appstate import processor
from pyaileys.appstate.keys import expand_app_state_keys

from sandbox.crypto import appstate
from sandbox.crypto import settings as build
from sandbox.crypto.appstate import AppStateError, Collection, Mutation, SyncKey
from sandbox.crypto.media import MediaType, decrypt, encrypt
from sandbox.crypto.protobuf import wa

NOW = datetime(2026, 1, 2, tzinfo=UTC)
KEY = SyncKey.generate()
KEYS = {KEY.id: KEY}
CHAT = "4915100002@s.whatsapp.net"

#: (which chat, pinned or not, remove instead of set)
edits = st.tuples(st.integers(0, 3), st.booleans(), st.booleans())
histories = st.lists(st.lists(edits, min_size=1, max_size=4), min_size=1, max_size=4)


def _mutation(chat: int, pinned: bool, remove: bool) -> Mutation:
    plain = build.pin(f"{chat}@s.whatsapp.net", pinned=pinned)[1]
    return Mutation(index=plain.index, value=plain.value, version=plain.version, remove=remove)


def _second_opinion(state: Any, patch: bytes) -> Any:
    parsed = wa.SyncdPatch.FromString(patch)
    return processor.process_patch(
        parsed,
        state,
        lambda key_id: expand_app_state_keys(KEYS[key_id].data),
        lambda index_mac: state.indexValueMap.get(processor.b64_index(index_mac)),
        validate_macs=True,
        collection_name=appstate.REGULAR_LOW,
    )


@settings(max_examples=30, deadline=None)
@given(histories)
def test_server_phone_and_device_agree_after_any_history(
    history: list[list[tuple[int, bool, bool]]],
) -> None:
    phone = server = Collection(name=appstate.REGULAR_LOW)
    expected: dict[tuple[str, ...], bool] = {}
    for edit in history:
        mutations = [_mutation(*item) for item in edit]
        patch = appstate.encode_patch(phone, KEY, mutations, now=NOW)
        server, numbered = server.apply(patch)
        phone, read = appstate.decode_patch(phone, numbered, KEYS)
        assert [item.index for item in read] == [item.index for item in mutations]
        for item in mutations:
            expected.pop(item.index, None)
            if not item.remove:
                expected[item.index] = item.value.pinAction.pinned
        assert phone == server
    restored, settings_ = appstate.decode_snapshot(server.name, server.snapshot(), KEYS)
    assert restored == server
    assert {item.index: item.value.pinAction.pinned for item in settings_} == expected


def test_an_independent_implementation_believes_patches() -> None:
    phone = Collection(name=appstate.REGULAR_LOW)
    state = processor.HashState()
    for mutations in (
        [_mutation(1, True, False), _mutation(2, True, False)],
        [_mutation(1, False, False)],
        [_mutation(2, True, True)],
    ):
        patch = appstate.encode_patch(phone, KEY, mutations, now=NOW)
        result = _second_opinion(state, patch)
        assert [tuple(item.index) for item in result.mutations] == [m.index for m in mutations]
        phone, _ = appstate.decode_patch(phone, patch, KEYS)
        state = result.state
        for removed in result.removed_index_macs:
            state.indexValueMap.pop(processor.b64_index(removed), None)
        for added in result.added_macs:
            state.indexValueMap[processor.b64_index(added.index_mac)] = added.value_mac
        assert state.hash == phone.hash
    snapshot = processor.process_snapshot(
        wa.SyncdSnapshot.FromString(phone.snapshot()),
        processor.HashState(),
        lambda key_id: expand_app_state_keys(KEYS[key_id].data),
        validate_macs=True,
        collection_name=phone.name,
    )
    assert snapshot.state.hash == phone.hash


def test_a_device_sends_patches_without_a_version_and_the_server_numbers_them() -> None:
    collection = Collection(name=appstate.REGULAR_LOW)
    sent = wa.SyncdPatch.FromString(
        appstate.encode_patch(collection, KEY, [_mutation(1, True, False)], now=NOW)
    )
    sent.ClearField("version")
    after, numbered = collection.apply(sent.SerializeToString())
    assert after.version == wa.SyncdPatch.FromString(numbered).version.version == 1
    assert appstate.decode_patch(collection, numbered, KEYS)[0] == after


@pytest.mark.parametrize(
    ("name", "mutation", "field"),
    [
        (*build.push_name("Alice"), "pushNameSetting"),
        (*build.locale("en_GB"), "localeSetting"),
        (*build.contact(CHAT, full_name="Bob B", lid="9915@lid"), "contactAction"),
        (*build.mute(CHAT), "muteAction"),
        (*build.mute(CHAT, until=NOW), "muteAction"),
        (*build.mute(CHAT, muted=False), "muteAction"),
        (*build.pin(CHAT), "pinAction"),
        (*build.archive(CHAT, last_message=NOW), "archiveChatAction"),
        (*build.mark_read(CHAT, last_message=NOW), "markChatAsReadAction"),
    ],
)
def test_every_setting_reads_back(name: str, mutation: Mutation, field: str) -> None:
    collection = Collection(name=name)
    patch = appstate.encode_patch(collection, KEY, [mutation], now=NOW)
    _, (read,) = appstate.decode_patch(collection, patch, KEYS)
    assert (read.index, read.version, read.remove) == (mutation.index, mutation.version, False)
    assert getattr(read.value, field) == getattr(mutation.value, field)
    assert read.value.timestamp == int(NOW.timestamp() * 1000)
    assert name in appstate.COLLECTIONS


@pytest.mark.parametrize("field", ["snapshotMac", "patchMac"])
def test_a_forged_patch_mac_is_refused(field: str) -> None:
    collection = Collection(name=appstate.REGULAR_LOW)
    patch = wa.SyncdPatch.FromString(
        appstate.encode_patch(collection, KEY, [_mutation(1, True, False)], now=NOW)
    )
    setattr(patch, field, bytes(32))
    with pytest.raises(AppStateError, match="MAC"):
        appstate.decode_patch(collection, patch.SerializeToString(), KEYS)


def test_a_forged_setting_is_refused_even_when_the_hash_is_right() -> None:
    collection = Collection(name=appstate.REGULAR_LOW)
    patch = wa.SyncdPatch.FromString(
        appstate.encode_patch(collection, KEY, [_mutation(1, True, False)], now=NOW)
    )
    blob = bytearray(patch.mutations[0].record.value.blob)
    blob[20] ^= 1  # the value MAC, which the hash is made of, stays
    patch.mutations[0].record.value.blob = bytes(blob)
    with pytest.raises(AppStateError, match="content MAC"):
        appstate.decode_patch(collection, patch.SerializeToString(), KEYS)


def test_a_patch_of_another_collection_key_or_version_is_refused() -> None:
    collection = Collection(name=appstate.REGULAR_LOW)
    patch = appstate.encode_patch(collection, KEY, [_mutation(1, True, False)], now=NOW)
    with pytest.raises(AppStateError, match="MAC"):
        appstate.decode_patch(Collection(name=appstate.REGULAR), patch, KEYS)
    with pytest.raises(AppStateError, match="unknown sync key"):
        appstate.decode_patch(collection, patch, {})
    after, _ = collection.apply(patch)
    with pytest.raises(AppStateError, match="does not follow"):
        after.apply(patch)


def test_a_snapshot_with_a_record_missing_is_refused() -> None:
    collection = Collection(name=appstate.REGULAR_LOW)
    mutations = [_mutation(1, True, False), _mutation(2, True, False)]
    after, _ = collection.apply(appstate.encode_patch(collection, KEY, mutations, now=NOW))
    snapshot = wa.SyncdSnapshot.FromString(after.snapshot())
    del snapshot.records[0]
    with pytest.raises(AppStateError, match="MAC of snapshot"):
        appstate.decode_snapshot(collection.name, snapshot.SerializeToString(), KEYS)


@given(st.binary(max_size=60))
def test_garbage_is_refused_with_an_app_state_error(data: bytes) -> None:
    with pytest.raises(AppStateError):
        appstate.decode_patch(Collection(name=appstate.REGULAR), data, KEYS)
    with pytest.raises(AppStateError):
        appstate.decode_snapshot(appstate.REGULAR, data, KEYS)


def test_a_snapshot_travels_as_media() -> None:
    collection = Collection(name=appstate.CRITICAL_BLOCK)
    mutation = build.push_name("Alice")[1]
    after, _ = collection.apply(appstate.encode_patch(collection, KEY, [mutation], now=NOW))
    media = encrypt(after.snapshot(), MediaType.APP_STATE)
    reference = wa.ExternalBlobReference.FromString(
        appstate.external_blob(media, direct_path="/m/1?x=1")
    )
    plain = decrypt(
        media.blob,
        MediaType.APP_STATE,
        media_key=reference.mediaKey,
        file_enc_sha256=reference.fileEncSha256,
        file_sha256=reference.fileSha256,
    )
    assert appstate.decode_snapshot(collection.name, plain, KEYS)[0] == after


def test_the_key_share_carries_the_keys() -> None:
    message = appstate.key_share([KEY], raw_id=7, now=NOW)
    (item,) = message.protocolMessage.appStateSyncKeyShare.keys
    assert (item.keyId.keyId, item.keyData.keyData) == (KEY.id, KEY.data)
    assert message.protocolMessage.type == wa.Message.ProtocolMessage.APP_STATE_SYNC_KEY_SHARE
