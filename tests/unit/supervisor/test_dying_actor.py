"""An actor that was ended keeps its name for a moment: it is no answer to who makes it anew.

Ray is stood in for: how long a name lives on is its matter.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from actors.hosts.create_actor import HostActor
from actors.supervisor import host_actors
from actors.supervisor.host_actors import HostActors
from cluster.domain.errors import Unavailable
from cluster.settings import Settings

OLD, NEW = SimpleNamespace(_actor_id="old"), SimpleNamespace(_actor_id="new")


ACTOR = HostActor(name="session:default:s", label="default/s", node="n", session_id=1)


async def test_one_that_ends_is_not_taken_for_the_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[set[str]] = []

    def create(_: Any, __: Any, excluded: set[str]) -> Any:
        asked.append(excluded)
        return OLD if len(asked) in (1, 2, 3) else NEW

    monkeypatch.setattr(host_actors, "create_host_actor", create)
    monkeypatch.setattr("actors.supervisor.host_actors.ray.kill", lambda *_, **__: None)
    monkeypatch.setattr(host_actors, "_NAME_POLL", 0.01)
    actors = HostActors(Settings())
    await actors.create(ACTOR, set())
    assert actors._handles[ACTOR.name] is OLD
    await actors.kill(ACTOR.name)
    await actors.create(ACTOR, {"bad node"})
    assert actors._handles[ACTOR.name] is NEW
    assert asked[1:] == [{"bad node"}] * 3


async def test_one_that_does_not_end_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_actors, "create_host_actor", lambda *_: OLD)
    monkeypatch.setattr("actors.supervisor.host_actors.ray.kill", lambda *_, **__: None)
    monkeypatch.setattr(host_actors, "_NAME_SECONDS", 0.1)
    actors = HostActors(Settings())
    await actors.create(ACTOR, set())
    await actors.kill(ACTOR.name)
    with pytest.raises(Unavailable, match="former actor"):
        await actors.create(ACTOR, set())
