"""The pauses between failing starts."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from cluster.domain.start_pause import StartPolicy

POLICY = StartPolicy(
    free=2, first=1, longest=300, give_up_after=12, settled=60, per_second=10, burst=20
)


def test_the_first_failures_are_free_and_each_further_one_doubles_the_pause() -> None:
    assert [POLICY.pause(n, chance=1) for n in range(7)] == [0, 0, 0, 1, 2, 4, 8]
    assert POLICY.pause(11, chance=0) == 128, "half of the pause is certain"


@given(st.integers(0, 10**6), st.floats(0, 1), st.floats(0.1, 1000))
def test_no_pause_is_longer_than_the_bound(failures: int, chance: float, longest: float) -> None:
    pause = replace(POLICY, longest=longest).pause(failures, chance)
    assert 0 <= pause <= longest
