"""Who is notified of which events, and how often."""

from __future__ import annotations

from typing import Any, cast

import pytest
from waiting import until

from cluster.stores import notifier as module
from cluster.stores.notifier import EventNotifier


class Database:
    """Knows what endpoints want, and remembers what was sent."""

    def __init__(self, **wanted: Any) -> None:
        self.wanted = wanted
        self.asked: list[list[int]] = []
        #: (of all events, of those to deliver)
        self.sent: list[tuple[str, str]] = []

    async def all(self, _: str, values: dict[str, Any]) -> list[dict[str, Any]]:
        self.asked.append(values["ids"])
        return [
            {"session_id": one, "names": self.wanted[f"s{one}"]}
            for one in values["ids"]
            if f"s{one}" in self.wanted
        ]

    async def run(self, _: str, values: dict[str, Any]) -> int:
        self.sent.append((values["all"], values["due"]))
        return 1


def of(database: Database) -> EventNotifier:
    return EventNotifier(cast(Any, database))


async def test_deliverers_hear_of_what_an_endpoint_wants() -> None:
    database = Database(s1=["message"], s2=["*"], s3="nothing that is a list", s4=[" message.ack "])
    notifier = of(database)
    for session in (1, 2, 3, 4, 5):
        notifier.notify(session, "message.ack", "message.status")
    await notifier.close()
    assert database.sent == [("1,2,3,4,5", "2,4")]
    notifier.notify(1, "message")
    notifier.notify(3)
    await notifier.close()
    assert database.sent[1:] == [("1,3", "1,3")]
    assert database.asked == [[1, 2, 3, 4, 5]], "what is known is not asked again"


async def test_what_nobody_wants_is_gathered_for_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BETWEEN_LIVE_SECONDS", 1000.0)
    monkeypatch.setattr(module, "_KNOWN_SECONDS", 1000.0)
    database = Database(s1=["message"])
    notifier = of(database)
    notifier.notify(1, "message.ack")
    await until(lambda: database.sent == [("1", "")])
    notifier.notify(1, "message.ack")
    notifier.notify(1, "message.ack")
    notifier.notify(1, "message")
    await until(lambda: database.sent[1:] == [("1", "1")])
    await notifier.close()


async def test_another_wish_is_known_soon_and_its_first_events_are_notified(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_KNOWN_SECONDS", 0.05)
    database = Database(s1=["message"])
    notifier = of(database)
    notifier.notify(1, "message.ack")
    await until(lambda: database.sent == [("1", "")])
    database.wanted["s1"] = ["message.ack"]
    notifier.endpoints_changed(1)
    await until(lambda: database.sent[1:] == [("1", "1")])
    notifier.notify(1, "message.ack")
    await until(lambda: database.sent[2:] == [("1", "1")])
    await notifier.close()


async def test_many_sessions_are_one_short_notification() -> None:
    database = Database()
    notifier = of(database)
    for session in range(301):
        notifier.notify(session)
    await notifier.close()
    assert database.sent == [("*", "*")]
