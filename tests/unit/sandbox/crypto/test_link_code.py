"""Pairing by code, against a companion that does what whatsmeow's pair-code.go does."""

from __future__ import annotations

import os

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sandbox.crypto import hkdf, linkcode
from sandbox.crypto.keys import KeyPair
from sandbox.crypto.linkcode import LinkCode, LinkCodeError

CODE = "ABCD-1234"


class Companion:
    def __init__(self) -> None:
        self.identity = KeyPair.generate()
        self.ephemeral = KeyPair.generate()
        self.wrapped = linkcode.wrap("ABCD1234", self.ephemeral.public)
        self.secret = b""

    def finish(self, wrapped_primary: bytes, primary_identity: bytes) -> bytes:
        shared = self.ephemeral.dh(linkcode.unwrap("ABCD1234", wrapped_primary))
        salt, nonce, random = os.urandom(32), os.urandom(12), os.urandom(32)
        info = b"link_code_pairing_key_bundle_encryption_key"
        bundle = self.identity.public + primary_identity + random
        secret = shared + self.identity.dh(primary_identity) + random
        self.secret = hkdf.derive(secret, 32, info=b"adv_secret")
        key = hkdf.derive(shared, 32, salt=salt, info=info)
        return salt + nonce + AESGCM(key).encrypt(nonce, bundle, None)


def test_both_sides_end_with_the_same_secret() -> None:
    companion, identity = Companion(), KeyPair.generate()
    phone = LinkCode(identity, CODE, companion.wrapped)
    bundle = companion.finish(phone.hello(), identity.public)
    assert phone.finish(bundle, companion.identity.public) == companion.secret


def test_a_mistyped_code_shows_itself_at_the_end() -> None:
    companion, identity = Companion(), KeyPair.generate()
    phone = LinkCode(identity, "ABCD-1235", companion.wrapped)
    bundle = companion.finish(phone.hello(), identity.public)
    with pytest.raises(LinkCodeError, match="does not match"):
        phone.finish(bundle, companion.identity.public)


def test_a_bundle_for_another_identity_is_refused() -> None:
    companion, identity = Companion(), KeyPair.generate()
    phone = LinkCode(identity, CODE, companion.wrapped)
    bundle = companion.finish(phone.hello(), KeyPair.generate().public)
    with pytest.raises(LinkCodeError, match="other identities"):
        phone.finish(bundle, companion.identity.public)


@pytest.mark.parametrize("bundle", [b"", bytes(44), bytes(200)])
def test_a_malformed_bundle_is_refused(bundle: bytes) -> None:
    companion = Companion()
    phone = LinkCode(KeyPair.generate(), CODE, companion.wrapped)
    with pytest.raises(LinkCodeError):
        phone.finish(bundle, companion.identity.public)


@pytest.mark.parametrize("code", ["", "ABCD-123", "ABCD-0234", "ABCD-I234", "ABCDEFGHJ"])
def test_a_code_no_client_shows_is_refused(code: str) -> None:
    with pytest.raises(LinkCodeError, match="not a link code"):
        linkcode.normalize(code)


def test_a_code_is_read_as_people_type_it() -> None:
    assert linkcode.normalize(" abcd-1234 ") == "ABCD1234"


def test_a_wrapped_key_of_another_length_is_refused() -> None:
    with pytest.raises(LinkCodeError, match="80"):
        LinkCode(KeyPair.generate(), CODE, bytes(79))
