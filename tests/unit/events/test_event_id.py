"""Ids of events are ULIDs, in lower case."""

from __future__ import annotations

import secrets
import time

import pytest

from cluster.events.event_id import EventIds, new_event_id

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def _value(event_id: str) -> int:
    assert event_id.startswith("evt_")
    assert len(event_id) == len("evt_") + 26
    value = 0
    for letter in event_id.removeprefix("evt_"):
        value = value << 5 | _ALPHABET.index(letter)
    return value


@pytest.mark.parametrize("low", [0, 1, 31, 32, (1 << 80) - 1, 0x0123456789ABCDEF0123])
def test_time_and_chance_are_in_it(low: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "randbits", lambda bits: low)
    before = time.time_ns() // 1_000_000
    value = _value(new_event_id())
    assert value & ((1 << 80) - 1) == low
    assert before <= value >> 80 <= time.time_ns() // 1_000_000


def test_the_same_part_of_an_entry_ends_the_same_way() -> None:
    first, _ = EventIds(b"entry").of("part")
    second, _ = EventIds(b"entry").of("part")
    other, _ = EventIds(b"entry").of("another")
    chance = len("evt_") + 10
    assert first[chance:] == second[chance:] != other[chance:]
