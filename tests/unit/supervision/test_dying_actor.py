"""An actor that was ended keeps its name for a moment: it is no answer to who makes it anew.

Ray is stood in for: how long a name lives on is its matter.
"""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from actors.supervision import session_actors
from actors.supervision.session_actors import SessionActors
from cluster.domain.errors import Unavailable
from cluster.domain.session import DesiredState, SessionRecord, SessionStatus
from cluster.settings import Settings

OLD, NEW = SimpleNamespace(_actor_id="old"), SimpleNamespace(_actor_id="new")


@pytest.fixture
def record() -> SessionRecord:
    now = datetime.now(UTC)
    return SessionRecord(
        id=1,
        tenant="default",
        name="s",
        desired=DesiredState.RUNNING,
        status=SessionStatus.STARTING,
        created_at=now,
        updated_at=now,
    )


async def test_one_that_ends_is_not_taken_for_the_new_one(
    monkeypatch: pytest.MonkeyPatch, record: SessionRecord
) -> None:
    asked: list[set[str]] = []

    def create(_: Any, __: Any, excluded: set[str]) -> Any:
        asked.append(excluded)
        return OLD if len(asked) in (1, 2, 3) else NEW

    monkeypatch.setattr(session_actors, "create_session_actor", create)
    monkeypatch.setattr(session_actors.ray, "kill", lambda *_, **__: None)
    monkeypatch.setattr(session_actors, "_NAME_LOOK", 0.01)
    actors = SessionActors(Settings())
    await actors.create(record, set())
    assert actors._handles[1] is OLD
    await actors.kill(record)
    await actors.create(record, {"bad node"})
    assert actors._handles[1] is NEW
    assert asked[1:] == [{"bad node"}] * 3


async def test_one_that_does_not_end_is_told(
    monkeypatch: pytest.MonkeyPatch, record: SessionRecord
) -> None:
    monkeypatch.setattr(session_actors, "create_session_actor", lambda *_: OLD)
    monkeypatch.setattr(session_actors.ray, "kill", lambda *_, **__: None)
    monkeypatch.setattr(session_actors, "_NAME_SECONDS", 0.1)
    actors = SessionActors(Settings())
    await actors.create(record, set())
    await actors.kill(record)
    with pytest.raises(Unavailable, match="former actor"):
        await actors.create(record, set())
