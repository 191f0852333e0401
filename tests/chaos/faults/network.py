"""A node that is cut off: from the stores, or from WhatsApp."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chaos.network import Cable
from chaos.people import Person
from chaos.scene import Fault, Scene, Strike

__all__ = ["NETWORK_FAULTS"]

_CUT_SECONDS = 25.0


@asynccontextmanager
async def _cut(
    name: str, people: list[Person], scene: Scene, cables: list[Cable], seconds: float
) -> AsyncIterator[Strike]:
    """Until those concerned have recovered, and at least `seconds` long."""
    since = time.monotonic()
    for cable in cables:
        cable.cut(lambda: scene.gateway.members(name))
    try:
        yield Strike(affected=people, since=since, what=f"{name}, {len(people)} sessions")
        await asyncio.sleep(max(0.0, since + seconds - time.monotonic()))
    finally:
        for cable in cables:
            cable.mend()


@asynccontextmanager
async def cut_stores(scene: Scene) -> AsyncIterator[Strike]:
    name, _, people = await scene.busiest_worker()
    async with _cut(name, people, scene, scene.servers.store_cables, _CUT_SECONDS) as strike:
        yield strike


@asynccontextmanager
async def cut_supervisor(scene: Scene) -> AsyncIterator[Strike]:
    name = await scene.gateway.supervisor_off_the_head()
    people = await scene.on_node((await scene.gateway.node_ids())[name])
    async with _cut(name, people, scene, scene.servers.store_cables, _CUT_SECONDS) as strike:
        strike.what += ", the supervisor among them"
        yield strike


@asynccontextmanager
async def cut_whatsapp(scene: Scene) -> AsyncIterator[Strike]:
    cable = scene.servers.whatsapp
    if cable is None:
        raise RuntimeError("there are no cables")
    name, _, people = await scene.busiest_worker()
    cable.cut(lambda: scene.gateway.members(name))
    try:
        # Nobody can send from there meanwhile: recovery is counted from the network's return.
        await asyncio.sleep(_CUT_SECONDS)
    finally:
        cable.mend()
    yield Strike(
        affected=people, since=time.monotonic(), what=f"{name}, {len(people)} sessions, 25 s"
    )


NETWORK_FAULTS = [
    Fault("cut_stores", "a node without PostgreSQL, Valkey and S3", cut_stores, cables=True),
    Fault("cut_supervisor", "the same with the supervisor's node", cut_supervisor, cables=True),
    Fault("cut_whatsapp", "a node without WhatsApp for 25 s", cut_whatsapp, cables=True),
]
