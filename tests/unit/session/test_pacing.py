"""Sending limits: what may go when, and where the rest stands. Time and chance are given."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

import pytest

from actors.session.outbox import Outbox, OutboxEntry
from cluster.domain.pacing import DAY, PROFILES, Pace, PacePolicy
from cluster.settings import PacingSettings

POLICY = PacePolicy(per_minute=6, burst=3, new_chats_per_day=2, jitter=0.5)
LONG_AGO = -365 * DAY
NOW = 1_000_000.0


def fresh(policy: PacePolicy = POLICY, linked_at: float = LONG_AGO) -> Pace:
    return Pace.of(policy, linked_at, (), ())


def test_after_a_burst_messages_keep_their_distance() -> None:
    pace = fresh()
    for _ in range(3):
        assert pace.wait(NOW) == 0
        pace.took(NOW, 0.5)
    assert pace.wait(NOW) == pytest.approx(10)
    assert pace.wait(NOW + 10) == 0


def test_the_average_holds_over_an_hour_whatever_chance_says() -> None:
    pace, now, sent = fresh(), NOW, 0
    chances = [0.0, 1.0, 0.3, 0.7, 0.5]
    while now < NOW + 3600:
        now += pace.wait(now)
        pace.took(now, chances[sent % 5])
        sent += 1
    assert 360 <= sent <= 365, "6 a minute, and the burst at the start"


def test_chance_moves_the_distance_within_its_bounds() -> None:
    waits = []
    for chance in (0.0, 1.0):
        pace = fresh(PacePolicy(per_minute=6, burst=1, new_chats_per_day=9, jitter=0.5))
        pace.took(NOW, chance)
        waits.append(pace.wait(NOW))
    assert waits == pytest.approx([5, 15])


def test_a_takeover_forgets_nothing() -> None:
    pace = fresh()
    for at in (0.0, 1.0, 2.0, 12.0):
        pace.took(NOW + at, 0.5)
    pace.opens(NOW)
    again = Pace.of(POLICY, LONG_AGO, [NOW, NOW + 1, NOW + 2, NOW + 12], [NOW, NOW - DAY * 2])
    assert again.wait(NOW + 13) == pytest.approx(pace.wait(NOW + 13))
    assert again.wait_for_opening(NOW + 13) == pace.wait_for_opening(NOW + 13) == 0


def test_new_chats_are_counted_over_a_day() -> None:
    pace = fresh()
    pace.opens(NOW)
    pace.opens(NOW + 100)
    assert pace.wait_for_opening(NOW + 200) == pytest.approx(DAY - 200)
    assert pace.wait_for_opening(NOW + DAY + 1) == 0
    pace.opens(NOW + DAY + 1)
    assert pace.wait_for_opening(NOW + DAY + 2) == pytest.approx(98)


def test_a_young_device_gets_less_and_grows_up() -> None:
    policy = PROFILES["normal"]
    assert policy.share(0) == pytest.approx(0.2)
    assert policy.share(7 * DAY) == pytest.approx(0.6)
    assert policy.share(14 * DAY) == policy.share(99 * DAY) == 1
    assert policy.new_chats(0) == 40
    assert policy.new_chats(14 * DAY) == 200
    assert policy.interval(0) == pytest.approx(15)
    assert policy.interval(14 * DAY) == pytest.approx(3)
    assert PROFILES["trusted"].share(0) == 1, "has no warm-up"


def test_the_places_of_queued_messages_are_reported() -> None:
    pace = fresh()
    pace.opens(NOW - 10)
    places = pace.places([False, True, False, True, False], NOW)
    assert [p.ahead for p in places] == [0, 1, 2, 3, 4]
    assert [p.limit for p in places] == ["turn", "turn", "turn", "new_chats", "pace"]
    assert [p.seconds for p in places] == pytest.approx([0, 0, 0, DAY - 10, 10])
    assert pace.wait(NOW) == 0, "asking changes nothing"


@pytest.mark.parametrize("sent", [0, 2, 7])
def test_the_place_of_one_is_computed_without_the_others(sent: int) -> None:
    pace = fresh()
    for _ in range(sent):
        pace.took(NOW, 0.5)
    for ahead in (0, 1, 2, 3, 10, 500):
        last = pace.places([False] * (ahead + 1), NOW + 3)[-1]
        one = pace.place(ahead, NOW + 3, opens=False)
        assert one.seconds == pytest.approx(last.seconds)
        assert (one.ahead, one.limit) == (last.ahead, last.limit)


def test_texts_are_typed_by_their_length_and_not_for_ever() -> None:
    def typed(text: str) -> float:
        return POLICY.typing({"kind": "text", "text": text}, 0.5)

    assert typed("x" * 30) == pytest.approx(2)
    assert typed("x" * 6000) == POLICY.typing_longest
    assert 0 < typed("x") < 1
    assert POLICY.typing({"kind": "image", "caption": "x" * 99}, 0.5) == 0


def settings(**values: Any) -> PacingSettings:
    return PacingSettings(_env_file=os.devnull, **values)


def test_limits_are_on_unless_it_is_the_sandbox_or_switched_off() -> None:
    assert settings().policy({}, sandbox=False) == PROFILES["normal"]
    assert settings().policy({}, sandbox=True) is None
    assert settings(enabled=True).policy({}, sandbox=True) == PROFILES["normal"]
    assert settings(enabled=False).policy({}, sandbox=False) is None
    assert settings().policy({"enabled": False}, sandbox=False) is None
    assert settings(enabled=False).policy({"enabled": True}, sandbox=True) == PROFILES["normal"]


def test_a_session_sets_its_own_figures() -> None:
    policy = settings(messages_per_minute=30).policy(
        {"profile": "careful", "newChatsPerDay": 7, "typing": False}, sandbox=False
    )
    assert policy is not None
    assert (policy.per_minute, policy.new_chats_per_day, policy.burst) == (30, 7, 3)
    assert policy.typing({"kind": "text", "text": "hello"}, 0.5) == 0
    with pytest.raises(ValueError, match="burst"):
        settings().policy({"burst": "no number"}, sandbox=False)


class Gate:
    """Pacing that the test opens by hand."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self.held: dict[str, float] = {}
        self.took_count = 0

    def wait(self) -> float:
        return self.waits.pop(0) if self.waits else 0.0

    async def hold(self, chat: str) -> float:
        return self.held.pop(chat, 0.0)

    def took(self) -> None:
        self.took_count += 1


async def test_pacing_delays_a_chat_and_keeps_its_order_while_others_pass() -> None:
    sent: list[str] = []

    async def send(entry: OutboxEntry) -> datetime:
        sent.append(entry.message_id)
        return datetime.now(UTC)

    async def mark(*_: object) -> None:
        pass

    gate = Gate()
    gate.held = {"new@s.whatsapp.net": 0.2}
    gate.waits = [0.05, 0.02]
    box = Outbox(send=send, mark_sent=mark, mark_failed=mark, pacing=gate)
    box.start()
    chats = ["new@s.whatsapp.net", "new@s.whatsapp.net", "old@s.whatsapp.net"]
    waits = [
        box.add(OutboxEntry(seq=n, message_id=f"m{n}", chat=chat, content={"kind": "text"}))
        for n, chat in enumerate(chats)
    ]
    assert [box.ahead_of(n) for n in range(3)] == [0, 1, 2]
    box.resume()
    for done in waits:
        await done
    await box.stop()
    assert sent == ["m2", "m0", "m1"]
    assert gate.took_count == 3
