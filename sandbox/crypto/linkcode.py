"""Pairing by an eight-character code, the phone's side (the client's is whatsmeow's pair-code.go).

companion_hello brings the client's ephemeral key wrapped with the code; `LinkCode.hello` unwraps
it and wraps the phone's; companion_finish brings a bundle encrypted between the two, from which
`LinkCode.finish` takes the secret that vouches for `pair-success`. A mistyped code unwraps to a
wrong key and shows itself only there.
"""

from __future__ import annotations

import hashlib
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sandbox.crypto import hkdf
from sandbox.crypto.keys import KEY_SIZE, KeyPair

_SALT_SIZE = 32
_IV_SIZE = 16
_NONCE_SIZE = 12
WRAPPED_SIZE = _SALT_SIZE + _IV_SIZE + KEY_SIZE
#: characters of a code (whatsmeow: linkingBase32)
ALPHABET = "123456789ABCDEFGHJKLMNPQRSTVWXYZ"
CODE_LENGTH = 8
_ITERATIONS = 2 << 16
_BUNDLE_INFO = b"link_code_pairing_key_bundle_encryption_key"
_SECRET_INFO = b"adv_secret"


class LinkCodeError(ValueError):
    """The code is wrong, or what the client sent is not part of this pairing."""


def normalize(code: str) -> str:
    """The code as the key derivation wants it: eight capitals without the hyphen.

    Raises:
        LinkCodeError: no client shows such a code.
    """
    plain = code.replace("-", "").strip().upper()
    if len(plain) != CODE_LENGTH or not set(plain) <= set(ALPHABET):
        raise LinkCodeError("not a link code")
    return plain


def wrap(code: str, public: bytes) -> bytes:
    """Encrypt a public key with the code: salt, IV, key; 80 bytes. Takes some 50 ms."""
    salt, iv = os.urandom(_SALT_SIZE), os.urandom(_IV_SIZE)
    return salt + iv + _stream(code, salt, iv, public)


def unwrap(code: str, wrapped: bytes) -> bytes:
    """The public key wrapped with the code; a wrong code gives a wrong key, not an error.

    Raises:
        LinkCodeError: not 80 bytes.
    """
    if len(wrapped) != WRAPPED_SIZE:
        raise LinkCodeError(f"a wrapped key has {WRAPPED_SIZE} bytes, not {len(wrapped)}")
    salt, iv = wrapped[:_SALT_SIZE], wrapped[_SALT_SIZE : _SALT_SIZE + _IV_SIZE]
    return _stream(code, salt, iv, wrapped[_SALT_SIZE + _IV_SIZE :])


class LinkCode:
    """One pairing by code, from the moment somebody typed it into the phone."""

    def __init__(self, identity: KeyPair, code: str, wrapped_companion: bytes) -> None:
        """`identity` is the phone's, `wrapped_companion` the 80 bytes of companion_hello.

        Raises:
            LinkCodeError: the code or the wrapped key is malformed.
        """
        self._identity = identity
        self._code = normalize(code)
        self._ephemeral = KeyPair.generate()
        self._companion = unwrap(self._code, wrapped_companion)

    def hello(self) -> bytes:
        """The phone's ephemeral key, wrapped, for primary_hello (80 bytes)."""
        return wrap(self._code, self._ephemeral.public)

    def finish(self, wrapped_bundle: bytes, companion_identity: bytes) -> bytes:
        """The ADV secret (32 bytes) from companion_finish.

        Raises:
            LinkCodeError: the code was wrong, or the bundle is for other identities.
        """
        salt = wrapped_bundle[:_SALT_SIZE]
        nonce = wrapped_bundle[_SALT_SIZE : _SALT_SIZE + _NONCE_SIZE]
        try:
            shared = self._ephemeral.dh(self._companion)
            key = hkdf.derive(shared, 32, salt=salt, info=_BUNDLE_INFO)
            bundle = AESGCM(key).decrypt(nonce, wrapped_bundle[_SALT_SIZE + _NONCE_SIZE :], None)
            identities = self._identity.dh(companion_identity)
        except (InvalidTag, ValueError) as error:
            raise LinkCodeError("the link code does not match") from error
        expected = companion_identity + self._identity.public
        if len(bundle) != len(expected) + 32 or not bundle.startswith(expected):
            raise LinkCodeError("the key bundle is for other identities")
        return hkdf.derive(shared + identities + bundle[len(expected) :], 32, info=_SECRET_INFO)


def _stream(code: str, salt: bytes, iv: bytes, data: bytes) -> bytes:
    key = hashlib.pbkdf2_hmac("sha256", code.encode(), salt, _ITERATIONS, 32)
    return Cipher(algorithms.AES(key), modes.CTR(iv)).encryptor().update(data)
