"""Message padding."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.crypto.padding import PaddingError, pad, unpad


@given(st.binary(max_size=50))
def test_padding_comes_off_again(message: bytes) -> None:
    padded = pad(message)
    assert 1 <= len(padded) - len(message) <= 15
    assert unpad(padded) == message


@pytest.mark.parametrize("padded", [b"", b"\x00", b"a\x02", b"\x03\x03", b"abc"])
def test_what_is_not_padded_is_refused(padded: bytes) -> None:
    with pytest.raises(PaddingError):
        unpad(padded)
