"""Processes that die or stand still: of a session, a node, the head, everything."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import psutil

from chaos.people import Person
from chaos.scene import Fault, Scene, Strike
from chaos.servers import signal_all
from cluster.domain.errors import Unavailable

__all__ = ["PROCESS_FAULTS"]

_RESTART_SECONDS = 180.0
#: The control plane must be back within this.
_GCS_SECONDS = 10.0


@asynccontextmanager
async def kill_session(scene: Scene) -> AsyncIterator[Strike]:
    person = random.choice(scene.people)
    actors = {
        name: found["gateway"]["actor"] for name, found in (await scene.gateway.sessions()).items()
    }
    pid = await scene.gateway.actor_pid(actors[person.session])
    # Its neighbours, too, where sessions share processes.
    affected = [one for one in scene.people if actors[one.session] == actors[person.session]]
    since = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    yield Strike(affected=affected, since=since, what=f"{person.session}, process {pid}")


@asynccontextmanager
async def kill_node(
    scene: Scene, *, before: Callable[[str, list[Person]], Awaitable[None]] | None = None
) -> AsyncIterator[Strike]:
    """`before`: what is done first, with its name and the people whose sessions are there."""
    name, node_id, people = await scene.busiest_worker()
    if before is not None:
        await before(name, people)
    members = scene.gateway.members(name)
    since = time.monotonic()
    signal_all(members, signal.SIGKILL)
    strike = Strike(affected=people, since=since, what=f"{name}, {len(members)} processes")
    yield strike
    await _back_again(scene, name, node_id, strike)


@asynccontextmanager
async def freeze_node(scene: Scene) -> AsyncIterator[Strike]:
    name, _, people = await scene.busiest_worker()
    members = scene.gateway.members(name)
    frozen = [psutil.Process(pid) for pid in members if psutil.pid_exists(pid)]
    since = time.monotonic()
    signal_all(members, signal.SIGSTOP)
    strike = Strike(affected=people, since=since, what=f"{name}, {len(members)} processes")
    try:
        yield strike
    finally:
        # Those that were ended meanwhile may have handed their ids on.
        signal_all({one.pid for one in frozen if one.is_running()}, signal.SIGCONT)
    # Time for the zombie to do what it must not. Ray may have missed nothing: then it is the same.
    await asyncio.sleep(5)
    await _back_again(scene, name, "", strike)


@asynccontextmanager
async def kill_gcs(scene: Scene) -> AsyncIterator[Strike]:
    head = scene.gateway.part("node-1")
    (pid,) = (
        pid for pid in scene.gateway.members("node-1") if psutil.Process(pid).name() == "gcs_server"
    )
    since = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    strike = Strike(affected=scene.people, since=since)
    try:
        seconds = await scene.gateway.control_plane_again(_RESTART_SECONDS)
    except Unavailable as error:
        strike.remarks.append(error.detail)
    else:
        strike.what = f"process {pid}; the control plane was back after {seconds:.1f} s"
        if seconds > _GCS_SECONDS:
            strike.remarks.append(f"the control plane was back only after {seconds:.1f} s")
    if head.process is not None and not head.process.alive:
        strike.remarks.append("the head ended with its GCS, and the host started the cluster anew")
    yield strike


@asynccontextmanager
async def kill_everything(scene: Scene) -> AsyncIterator[Strike]:
    since = time.monotonic()
    await scene.gateway.kill()
    await asyncio.gather(*(store.kill() for store in scene.servers.stores))
    for store in scene.servers.stores:
        await store.start()
    seconds = await scene.gateway.up()
    yield Strike(
        affected=scene.people,
        since=since,
        what=f"host, nodes, sessions and stores; `up` took {seconds:.1f} s",
    )


async def _back_again(scene: Scene, name: str, node_id: str, strike: Strike) -> None:
    try:
        await scene.gateway.wait_for_node(name, other_than=node_id)
    except Unavailable as error:
        strike.remarks.append(error.detail)


PROCESS_FAULTS = [
    Fault("kill_session", "SIGKILL of a session's process", kill_session, spares_others=True),
    Fault("kill_node", "SIGKILL of a node: raylet, agents, workers", kill_node),
    Fault("freeze_node", "SIGSTOP of a node, SIGCONT after the takeover", freeze_node),
    Fault("kill_gcs", "SIGKILL of the head's GCS", kill_gcs, stays_connected=True),
    Fault(
        "kill_everything",
        "SIGKILL of host, nodes, sessions and stores; `up` again",
        kill_everything,
        patience=240,
    ),
]
