"""Curve25519 key pairs that both agree on secrets (X25519) and sign (XEdDSA)."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

import xeddsa
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

#: length of a public or private key, in bytes
KEY_SIZE = 32
SIGNATURE_SIZE = 64
#: Signal writes this byte before a public key of this curve ("DJB type")
DJB_TYPE = b"\x05"


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A key pair as Signal and Noise use it."""

    #: 32 bytes, Montgomery u-coordinate
    public: bytes
    #: 32 bytes, the clamped X25519 scalar
    private: bytes = field(repr=False)

    @classmethod
    def generate(cls) -> KeyPair:
        """A new random pair."""
        return cls.from_private(os.urandom(KEY_SIZE))

    @classmethod
    def from_private(cls, private: bytes) -> KeyPair:
        """The pair of a 32-byte scalar, which is clamped as RFC 7748 says.

        Raises:
            ValueError: not 32 bytes.
        """
        if len(private) != KEY_SIZE:
            raise ValueError(f"a private key has {KEY_SIZE} bytes, not {len(private)}")
        scalar = bytearray(private)
        scalar[0] &= 248
        scalar[31] = scalar[31] & 127 | 64
        public = X25519PrivateKey.from_private_bytes(bytes(scalar)).public_key()
        return cls(public.public_bytes_raw(), bytes(scalar))

    def dh(self, public: bytes) -> bytes:
        """The 32-byte secret shared with the holder of `public` (32 bytes).

        Raises:
            ValueError: not a public key, or one of the few that yield no secret.
        """
        return X25519PrivateKey.from_private_bytes(self.private).exchange(
            X25519PublicKey.from_public_bytes(public)
        )

    def sign(self, message: bytes) -> bytes:
        """A 64-byte XEdDSA signature.

        The scalar is negated where needed so that the Edwards public key has sign bit 0. That
        negated scalar is for signing alone: as an X25519 key it would disagree with `public`.
        """
        return bytes(xeddsa.ed25519_priv_sign(xeddsa.priv_force_sign(self.private, False), message))


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Check an XEdDSA signature, also of the older kind whose last bit carries the sign.

    libsignal (ecc.VerifySignature) sets the Edwards key's sign from that bit.
    """
    if len(public) != KEY_SIZE or len(signature) != SIGNATURE_SIZE:
        return False
    sign = bool(signature[63] & 128)
    plain = signature[:63] + bytes([signature[63] & 127])
    try:
        edwards = xeddsa.curve25519_pub_to_ed25519_pub(public, sign)
        return bool(xeddsa.ed25519_verify(plain, edwards, message))
    except xeddsa.XEdDSAException:
        return False
