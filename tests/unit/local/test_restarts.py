"""What ends is started at once, and what keeps ending slower and slower."""

from __future__ import annotations

from cluster.domain.errors import Unavailable
from ops.local.restarts import Restarts


class _Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def _fail() -> None:
    raise Unavailable("no")


def _seconds_until_due(restarts: Restarts, clock: _Clock) -> int:
    began = clock.now
    while not restarts.due("valkey"):
        clock.now += 1
    return int(clock.now - began)


def test_the_first_is_at_once() -> None:
    assert Restarts(_Clock()).due("valkey")


def test_what_is_to_rest_waits_from_when_its_end_was_noticed() -> None:
    clock = _Clock()
    restarts = Restarts(clock)
    assert not restarts.due("node-2", rest=5)
    clock.now += 4
    assert not restarts.due("node-2", rest=5)
    clock.now += 1
    assert restarts.due("node-2", rest=5)
    restarts.attempt("node-2", lambda: None)
    clock.now += 100
    assert not restarts.due("node-2", rest=5)


def test_pauses_double_up_to_half_a_minute() -> None:
    clock = _Clock()
    restarts = Restarts(clock)
    pauses = []
    for _ in range(7):
        assert not restarts.attempt("valkey", _fail)
        pauses.append(_seconds_until_due(restarts, clock))
    assert pauses == [1, 2, 4, 8, 16, 30, 30]


def test_what_stayed_up_for_a_minute_is_as_good_as_new() -> None:
    clock = _Clock()
    restarts = Restarts(clock)
    for _ in range(4):
        restarts.attempt("valkey", lambda: None)
        _seconds_until_due(restarts, clock)
    clock.now += 61
    assert restarts.attempt("valkey", lambda: None)
    assert _seconds_until_due(restarts, clock) == 1


def test_parts_do_not_wait_for_each_other() -> None:
    restarts = Restarts(_Clock())
    restarts.attempt("valkey", _fail)
    assert not restarts.due("valkey")
    assert restarts.due("postgres")
