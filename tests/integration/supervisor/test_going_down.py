"""A supervisor that Ray starts again while the cluster goes down starts no session.

Ray's control store is stood in for by a dictionary; `test_host_actors.py` has the real one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import pytest

from actors.hosts.create_actor import HostActor
from actors.supervisor import supervisor_actor as module
from actors.supervisor.host_actors import HostActors
from actors.supervisor.supervisor_actor import Supervisor
from cluster.domain.errors import Unavailable
from cluster.domain.session import DesiredState
from cluster.settings import Settings
from cluster.stores import Stores
from cluster.stores.workers import NodeReport


class Kept:
    """What Ray's control store keeps."""

    going: ClassVar[bool] = False

    def __init__(self, _: str) -> None:
        pass

    def get(self) -> bool:
        return Kept.going

    def set(self, going: bool) -> None:
        Kept.going = going


async def test_it_is_not_forgotten_by_the_next_supervisor(
    stores: Stores,
    store_settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    session_name: Callable[[], str],
) -> None:
    made: list[str] = []

    async def create(_: HostActors, actor: HostActor, __: object) -> None:
        made.append(actor.label.removeprefix("default/"))

    async def none(_: HostActors) -> list[object]:
        return []

    monkeypatch.setattr(module, "GoingDown", Kept)
    # Their own loops are not the subject.
    monkeypatch.setattr(Supervisor, "_repeat", lambda *_: None)
    monkeypatch.setattr(Supervisor, "_end_if_cut_off", lambda _: none(_))
    monkeypatch.setattr(HostActors, "create", create)
    monkeypatch.setattr(HostActors, "names", none)
    here = NodeReport(node="a" * 56, name="n", address="127.0.0.1", slots=500)
    await stores.workers.replace([here])
    record = await stores.sessions.create("default", session_name(), {}, DesiredState.RUNNING)
    first = Supervisor()
    (await first.stop_all()).unwrap()
    again = Supervisor()
    with pytest.raises(Unavailable, match="going down"):
        (await again.start(record.id)).unwrap()
    assert made == []
    (await again.resume()).unwrap()
    (await again.start(record.id)).unwrap()
    assert made == [record.name]
    third = Supervisor()
    (await third.start(record.id)).unwrap()
    assert made == [record.name] * 2
