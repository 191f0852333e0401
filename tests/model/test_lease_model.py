"""No interleaving breaks the ownership protocol, and each of its rules is needed."""

from __future__ import annotations

from typing import get_args

import pytest
from lease_model import GUARDS, Question, Violation, search


@pytest.mark.parametrize("about", get_args(Question))
def test_no_interleaving_connects_two_owners_or_uses_a_ratchet_twice(about: Question) -> None:
    found = search(about=about)
    assert not isinstance(found, Violation), "\n".join((found.what, *found.steps))
    assert found > 3_000, "the search saw something"


@pytest.mark.parametrize("guard", sorted(GUARDS))
def test_without_this_rule_something_goes_wrong(guard: str) -> None:
    about: Question = "connections"
    if "stay" in guard:
        about = "staying"
    elif "seen" in guard:
        about = "seen"
    elif "store" in guard:
        about = "stores"
    elif "ratchet" in guard or "checkpoint" in guard:
        about = "ratchets"
    found = search(GUARDS - {guard}, about=about)
    assert isinstance(found, Violation), f"nothing needs: {guard}"
