"""Two connections of a device at once are noted, and how long; a closed one does not count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from sandbox.server.journal import Journal
from sandbox.server.peer import Peers
from sandbox.wire.node import Node


@dataclass
class Device:
    number: str = "49151"
    device: int = 1
    active: bool = False
    available: bool = False
    media_host: str = ""
    open: bool = True

    async def send(self, node: Node) -> None: ...

    async def end(self, node: Node | None = None) -> None: ...


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr("sandbox.server.journal.time.time", lambda: now[0])
    return now


def _overlaps(journal: Journal) -> list[dict[str, Any]]:
    return list(journal.state()["overlaps"])


def test_a_second_connection_is_noted_until_the_first_has_left(clock: list[float]) -> None:
    journal = Journal()
    peers, first, second = Peers(journal), Device(), Device()
    assert peers.enter(first) is None
    assert peers.enter(second) is first
    assert _overlaps(journal) == [{"device": "49151:1", "since": 100.0, "seconds": None}]
    clock[0] = 102.5
    assert not peers.leave(first)
    assert _overlaps(journal) == [{"device": "49151:1", "since": 100.0, "seconds": 2.5}]
    assert peers.leave(second)
    assert journal.state()["most_connections"] == {"49151:1": 2}
    assert peers.all() == []


def test_what_its_client_has_closed_is_no_connection(clock: list[float]) -> None:
    journal = Journal()
    peers, first, second = Peers(journal), Device(), Device()
    peers.enter(first)
    first.open = False
    assert peers.enter(second) is None
    assert not peers.leave(first)
    assert peers.get("49151", 1) is second
    assert _overlaps(journal) == []
    assert journal.state()["most_connections"] == {"49151:1": 1}
