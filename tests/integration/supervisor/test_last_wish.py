"""Start, stop and failure at the same moment: what was asked for last is what happens."""

from __future__ import annotations

import os

import pytest
from owned_session import Owned

from actors.hosts.host import Assigned
from actors.supervisor.reconcile import _wanted
from actors.supervisor.stopped import mark_stopped
from cluster.domain.session import DesiredState, SessionStatus
from cluster.settings import Settings, SupervisorSettings
from cluster.stores import Stores
from cluster.stores.workers import NodeReport

S = SessionStatus
D = DesiredState
NODE = "a" * 56


async def _runs(stores: Stores, session_id: int) -> bool:
    """Whether it is brought to life: the supervisor wants it, and so does its process, whether it
    has that for itself or shares it."""
    record = await stores.sessions.get_by_id(session_id)
    host = await stores.hosts.make(NODE, 4)
    await stores.hosts.assign({session_id: host})
    alone = await Assigned(session_id=session_id).poll(stores)
    shared = await Assigned(host=host, capacity=4).poll(stores)
    await stores.hosts.remove(host)
    found = {_wanted(record), alone == {session_id}, shared == {session_id}}
    assert len(found) == 1, "all of them agree"
    return found.pop()


async def test_a_start_while_the_owner_stops(stores: Stores, owned: Owned) -> None:
    await stores.sessions.set_status(owned.id, owned.epoch, S.WORKING)
    await stores.sessions.set_desired(owned.id, D.STOPPED)
    # The owner has read that it is to stop, and now somebody asks for a start.
    await stores.sessions.set_desired(owned.id, D.RUNNING)
    assert await stores.sessions.set_status(owned.id, owned.epoch, S.STOPPED) is S.STARTING
    await stores.ownership.release(owned.id, owned.epoch, clean=True)
    assert (await stores.sessions.get_by_id(owned.id)).status is S.STARTING
    assert await _runs(stores, owned.id)


async def test_a_start_while_the_supervisor_says_stopped(stores: Stores, owned: Owned) -> None:
    await stores.sessions.set_status(owned.id, owned.epoch, S.WORKING)
    await stores.sessions.set_desired(owned.id, D.STOPPED)
    await stores.ownership.release(owned.id, owned.epoch, clean=False)
    seen = await stores.sessions.get_by_id(owned.id)
    await stores.sessions.set_desired(owned.id, D.RUNNING)
    await mark_stopped(stores, seen)
    now = await stores.sessions.get_by_id(owned.id)
    assert now.status is not S.STOPPED
    assert not await stores.events.list(owned.id, after=0, limit=10), "nothing untrue was emitted"
    assert await _runs(stores, owned.id)


async def test_a_start_while_it_is_given_up(stores: Stores, owned: Owned) -> None:
    policy = Settings(
        supervisor=SupervisorSettings(
            _env_file=os.devnull,  # type: ignore[call-arg, unused-ignore]
            give_up_failures=2,
        )
    ).start_policy
    await stores.workers.replace([NodeReport(node=NODE, name="n", address="127.0.0.1", slots=1)])
    for _ in range(3):
        admission = await stores.starts.begin(owned.id, NODE, policy)
    assert admission.given_up
    await stores.sessions.set_desired(owned.id, D.RUNNING)
    assert not await stores.starts.give_up(owned.id, admission.failures, "too often")
    assert await _runs(stores, owned.id)


@pytest.mark.parametrize("later", [D.RUNNING, D.STOPPED])
async def test_a_logout_is_a_wish_to_stop(stores: Stores, owned: Owned, later: D) -> None:
    await stores.sessions.set_status(owned.id, owned.epoch, S.WORKING)
    stored = await stores.sessions.set_status(owned.id, owned.epoch, S.STOPPED, logged_out=True)
    assert stored is S.STOPPED
    now = await stores.sessions.get_by_id(owned.id)
    assert (now.desired, now.status) == (D.STOPPED, S.STOPPED)
    await stores.sessions.set_desired(owned.id, later)
    assert await _runs(stores, owned.id) is (later is D.RUNNING)


async def test_what_an_older_version_left_stopped_though_wanted_runs(
    stores: Stores, owned: Owned
) -> None:
    await stores.db.run(
        "UPDATE sessions SET status = 'STOPPED' WHERE id = %(id)s", {"id": owned.id}
    )
    assert await _runs(stores, owned.id)
