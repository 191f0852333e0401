"""The Signal protocol of a phone: pyaileys' repository, with the sessions it replaces kept.

libsignal keeps previous sessions of a peer, because messages of both may be under way; pyaileys
keeps one. The older ones are kept here, as many as libsignal keeps, and tried when the current one
fails.
"""

from __future__ import annotations

import os

from pyaileys.auth.creds import AuthenticationCreds, KeyPair, SignedKeyPair
from pyaileys.auth.state import AuthenticationState
from pyaileys.signal.repository import (
    PreKeyBundle,
    PreKeyBundleKey,
    SignalError,
    SignalRepository,
)

from sandbox.crypto import keys
from sandbox.crypto.keys import DJB_TYPE
from sandbox.crypto.protobuf import wa
from sandbox.phone.keys import PhoneKeys
from sandbox.server.store import Device, Store
from sandbox.wire.jid import Jid
from sandbox.wire.node import Node

__all__ = ["PREKEYS", "Cipher", "OldCounter", "Undecryptable"]

#: one-time keys a phone has on the server
PREKEYS = 100
_SIGNED_ID = 1
#: replaced sessions of a peer that are kept (libsignal, rust/protocol/src/consts.rs,
#: ARCHIVED_STATES_MAX_LENGTH)
_OLD_SESSIONS = 40


class Undecryptable(Exception):
    """The message cannot be decrypted: ask for it again."""


class OldCounter(Exception):
    """The message's key was used or passed over: drop it, as libsignal's users do."""


class Cipher:
    """Encrypts to and decrypts from devices, by JID (LID form)."""

    def __init__(self, store: Store, number: str, identity: keys.KeyPair) -> None:
        self._store = store
        self._number = number
        self._identity = identity
        self._keys = PhoneKeys(store, number)
        self._registration, signed = self._own_keys()
        self._signed = signed
        self._signature = identity.sign(DJB_TYPE + signed.public)
        credentials = AuthenticationCreds(
            noise_key=KeyPair(b"", b""),
            pairing_ephemeral_key_pair=KeyPair(b"", b""),
            signed_identity_key=KeyPair(identity.public, identity.private),
            signed_pre_key=SignedKeyPair(
                KeyPair(signed.public, signed.private), self._signature, _SIGNED_ID
            ),
            registration_id=self._registration,
            adv_secret_key="",
        )
        self._repository = SignalRepository(AuthenticationState(credentials, self._keys))

    def device(self, device: Device) -> Device:
        """The phone's own entry in the directory, with its keys."""
        device.registration = self._registration.to_bytes(4, "big")
        device.signed_key_id = _SIGNED_ID.to_bytes(3, "big")
        device.signed_key, device.signature = self._signed.public, self._signature
        return device

    def new_prekeys(self, count: int) -> list[tuple[bytes, bytes]]:
        """(id, public key) of new one-time keys."""
        first = int.from_bytes(self._fact("next-prekey") or b"\1", "big")
        made = []
        for number in range(first, first + count):
            pair = keys.KeyPair.generate()
            self._store.set_signal(self._number, "pre-key", str(number), pair.public + pair.private)
            made.append((number.to_bytes(3, "big"), pair.public))
        self._set_fact("next-prekey", (first + count).to_bytes(3, "big"))
        return made

    async def knows(self, jid: Jid) -> bool:
        """Whether there is a session with a device."""
        return bool(await self._repository.validate_session(str(jid)))

    async def begin(self, jid: Jid, bundle: Node) -> None:
        """Begin a session from a `<user>` of a key bundle answer. Raises `Undecryptable`."""
        parts = {child.tag: child for child in bundle.children()}
        if not {"registration", "identity", "skey"} <= parts.keys():
            raise Undecryptable(f"no keys of {jid}")
        key = parts.get("key")
        await self._archive(jid)
        await self._repository.inject_outgoing_session(
            str(jid),
            PreKeyBundle(
                int.from_bytes(parts["registration"].data, "big"),
                DJB_TYPE + parts["identity"].data,
                _bundle_key(parts["skey"]),
                _bundle_key(key) if key is not None else None,
            ),
        )

    async def encrypt(self, jid: Jid, data: bytes) -> Node:
        """An `<enc>` for a device with which there is a session."""
        kind, ciphertext = await self._repository.encrypt_message(str(jid), data=data)
        return Node.make("enc", ciphertext, v=2, type=kind)

    async def decrypt(self, jid: Jid, enc: Node, *, group: Jid | None = None) -> bytes:
        """The padded plaintext. Raises `OldCounter` or `Undecryptable`."""
        kind = enc.get("type")
        try:
            if kind == "skmsg":
                if group is None:
                    raise Undecryptable("a sender key outside of a group")
                return bytes(
                    await self._repository.decrypt_group_message(
                        group_jid=str(group), author_jid=str(jid), ciphertext=enc.data
                    )
                )
            before = self._session(jid)
            plaintext = await self._repository.decrypt_message(
                str(jid), message_type=kind, ciphertext=enc.data
            )
            if before is not None and _base_key(before) != _base_key(self._session(jid)):
                self._keep_old(jid, before)
            return bytes(plaintext)
        except Undecryptable:
            raise
        except Exception as error:
            if "old counter" in str(error).lower():
                raise OldCounter(str(error)) from error
            if kind in ("msg", "pkmsg"):
                # A peer goes on with the session it began until it hears an answer in it, also
                # when this side has begun another one meanwhile.
                return await self._decrypt_with_old(jid, enc, error)
            raise Undecryptable(f"{type(error).__name__}: {error}") from error

    async def learn_sender_key(self, group: str, author: Jid, distribution: bytes) -> None:
        await self._repository.process_sender_key_distribution_message(
            group, author_jid=str(author), distribution_bytes=distribution
        )

    async def encrypt_for_group(self, group: Jid, own: Jid, data: bytes) -> tuple[Node, bytes]:
        """The `<enc>` for all members, and the key to distribute."""
        ciphertext, distribution = await self._repository.encrypt_group_message(
            group_jid=str(group), me_jid=str(own), data=data
        )
        return Node.make("enc", ciphertext, v=2, type="skmsg"), bytes(distribution)

    def retry_keys(self) -> list[Node]:
        """The children of a retry receipt that let the sender begin anew (whatsmeow: retry.go)."""
        ((key_id, public),) = self.new_prekeys(1)
        return [
            Node.make("registration", self._registration.to_bytes(4, "big")),
            Node.make(
                "keys",
                [
                    Node.make("type", DJB_TYPE),
                    Node.make("identity", self._identity.public),
                    Node.make("key", [Node.make("id", key_id), Node.make("value", public)]),
                    Node.make(
                        "skey",
                        [
                            Node.make("id", _SIGNED_ID.to_bytes(3, "big")),
                            Node.make("value", self._signed.public),
                            Node.make("signature", self._signature),
                        ],
                    ),
                ],
            ),
        ]

    async def _decrypt_with_old(self, jid: Jid, enc: Node, error: Exception) -> bytes:
        """Try the sessions that were replaced; the one that fits becomes the current one."""
        current, olds = self._session(jid), self._old_sessions(jid)
        for number, old in enumerate(olds):
            self._store.set_signal(self._number, "session", self._address(jid), old)
            try:
                plaintext = await self._repository.decrypt_message(
                    str(jid), message_type=enc.get("type"), ciphertext=enc.data
                )
            except (SignalError, ValueError) as failed:
                if "old counter" in str(failed).lower():
                    self._store.set_signal(self._number, "session", self._address(jid), current)
                    raise OldCounter(str(failed)) from failed
                continue
            kept = olds[:number] + olds[number + 1 :]
            self._set_old_sessions(jid, [current, *kept] if current is not None else kept)
            return bytes(plaintext)
        self._store.set_signal(self._number, "session", self._address(jid), current)
        raise Undecryptable(f"{type(error).__name__}: {error}") from error

    async def _archive(self, jid: Jid) -> None:
        session = self._session(jid)
        if session is not None:
            self._keep_old(jid, session)

    def _keep_old(self, jid: Jid, session: bytes) -> None:
        self._set_old_sessions(jid, [session, *self._old_sessions(jid)])

    def _old_sessions(self, jid: Jid) -> list[bytes]:
        """The newest first."""
        address = self._address(jid)
        stored = self._store.signal(self._number, "old-sessions", [address]).get(address, b"")
        return [
            bytes(wa.RecordStructure(currentSession=one).SerializeToString())
            for one in wa.RecordStructure.FromString(stored).previousSessions
        ]

    def _set_old_sessions(self, jid: Jid, sessions: list[bytes]) -> None:
        record = wa.RecordStructure()
        for session in sessions[:_OLD_SESSIONS]:
            record.previousSessions.append(wa.RecordStructure.FromString(session).currentSession)
        stored = record.SerializeToString()
        self._store.set_signal(self._number, "old-sessions", self._address(jid), stored)

    def _session(self, jid: Jid) -> bytes | None:
        address = self._address(jid)
        return self._store.signal(self._number, "session", [address]).get(address)

    def _address(self, jid: Jid) -> str:
        return str(self._repository.jid_to_address(str(jid)))

    def _own_keys(self) -> tuple[int, keys.KeyPair]:
        stored = self._fact("own")
        if stored is None:
            registration = int.from_bytes(os.urandom(2), "big") & 0x3FFF or 1
            stored = registration.to_bytes(4, "big") + keys.KeyPair.generate().private
            self._set_fact("own", stored)
        return int.from_bytes(stored[:4], "big"), keys.KeyPair.from_private(stored[4:])

    def _fact(self, name: str) -> bytes | None:
        return self._store.signal(self._number, "phone", [name]).get(name)

    def _set_fact(self, name: str, value: bytes) -> None:
        self._store.set_signal(self._number, "phone", name, value)


def _bundle_key(node: Node) -> PreKeyBundleKey:
    parts = {child.tag: child.data for child in node.children()}
    return PreKeyBundleKey(
        int.from_bytes(parts["id"], "big"), DJB_TYPE + parts["value"], parts.get("signature")
    )


def _base_key(session: bytes | None) -> bytes:
    if session is None:
        return b""
    record = wa.RecordStructure.FromString(session)
    return bytes(record.currentSession.aliceBaseKey)
