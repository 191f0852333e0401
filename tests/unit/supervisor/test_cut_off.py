"""A supervisor ends when it alone does not reach PostgreSQL, and in an outage it stays."""

from __future__ import annotations

import asyncio

import pytest

from actors.supervisor import cut_off
from actors.supervisor.cut_off import CutOff


class World:
    """What PostgreSQL answers here and elsewhere."""

    def __init__(self) -> None:
        self.here = self.there = True
        self.hangs = False
        self.asked = 0

    async def ping(self) -> bool:
        if self.hangs:
            await asyncio.Event().wait()
        return self.here

    async def others(self) -> str | None:
        self.asked += 1
        return "agent" if self.there else None


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(cut_off, "_EVERY", 0.01)
    return World()


@pytest.mark.parametrize("hangs", [False, True])
async def test_alone_it_is_found(world: World, hangs: bool) -> None:
    world.here, world.hangs = False, hangs
    assert await asyncio.wait_for(CutOff(world.ping, world.others).found(), 5) == "agent"
    assert world.asked == 1


async def test_in_an_outage_it_stays(world: World) -> None:
    world.here = world.there = False
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(CutOff(world.ping, world.others).found(), 0.3)
    assert world.asked > 1


async def test_well_it_asks_nobody(world: World) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(CutOff(world.ping, world.others).found(), 0.3)
    assert world.asked == 0
