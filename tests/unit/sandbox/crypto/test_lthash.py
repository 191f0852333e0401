"""LTHash is a sum: order does not matter, and what was added can be taken away."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pyaileys.appstate.lthash import WAPATCH_INTEGRITY

from sandbox.crypto import lthash

members = st.lists(st.binary(min_size=32, max_size=32), max_size=5)


@given(members, members)
def test_what_was_added_can_be_taken_away(first: list[bytes], second: list[bytes]) -> None:
    both = lthash.subtract_then_add(lthash.EMPTY, [], first + second)
    assert lthash.subtract_then_add(both, second, []) == lthash.subtract_then_add(
        lthash.EMPTY, [], reversed(first)
    )


@given(members, members)
def test_it_equals_an_independent_implementation(first: list[bytes], second: list[bytes]) -> None:
    base = lthash.subtract_then_add(lthash.EMPTY, [], first)
    reference = bytearray(base)
    WAPATCH_INTEGRITY.subtract_then_add_in_place(reference, first, second)
    assert lthash.subtract_then_add(base, first, second) == reference
