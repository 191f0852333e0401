"""One key pair agrees and signs, and nobody notices the sign trick behind it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.crypto.keys import KeyPair, verify


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=80))
def test_any_private_key_signs_and_agrees(private: bytes, message: bytes) -> None:
    pair, other = KeyPair.from_private(private), KeyPair.generate()
    assert verify(pair.public, message, pair.sign(message))
    assert pair.dh(other.public) == other.dh(pair.public)


def test_a_pair_reads_back_from_its_private_key() -> None:
    pair = KeyPair.generate()
    assert KeyPair.from_private(pair.private) == pair


def test_private_keys_are_clamped_so_that_signing_and_agreeing_use_one_scalar() -> None:
    assert KeyPair.from_private(b"\xff" * 32).private == b"\xf8" + b"\xff" * 30 + b"\x7f"
    assert KeyPair.from_private(bytes(32)).private == bytes(31) + b"\x40"


@given(st.integers(0, 63), st.integers(0, 7))
def test_an_altered_signature_is_refused(byte: int, bit: int) -> None:
    pair = KeyPair.generate()
    signature = bytearray(pair.sign(b"message"))
    signature[byte] ^= 1 << bit
    assert not verify(pair.public, b"message", bytes(signature))


def test_another_message_key_or_length_is_refused() -> None:
    pair = KeyPair.generate()
    signature = pair.sign(b"message")
    assert not verify(pair.public, b"other", signature)
    assert not verify(KeyPair.generate().public, b"message", signature)
    assert not verify(pair.public[:31], b"message", signature)
    assert not verify(pair.public, b"message", signature[:63])


def test_a_private_key_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="32"):
        KeyPair.from_private(bytes(31))


def test_the_private_key_is_not_in_the_text_form() -> None:
    assert "private" not in repr(KeyPair.generate())
