"""No interleaving breaks the ownership protocol, and each of its rules is needed."""

from __future__ import annotations

import pytest
from lease_model import GUARDS, Violation, search


@pytest.mark.parametrize("ratchets", [False, True])
def test_no_interleaving_connects_two_owners_or_uses_a_ratchet_twice(ratchets: bool) -> None:
    found = search(ratchets=ratchets)
    assert not isinstance(found, Violation), "\n".join((found.what, *found.steps))
    assert found > 5_000, "the search saw something"


@pytest.mark.parametrize("guard", sorted(GUARDS))
def test_without_this_rule_something_goes_wrong(guard: str) -> None:
    found = search(GUARDS - {guard}, ratchets="ratchet" in guard or "checkpoint" in guard)
    assert isinstance(found, Violation), f"nothing needs: {guard}"
